import Synchronization

/// Something that happened, kept until somebody takes note of it.
///
/// Any number of calls of `notify` before a `wait` count as one. With `isSticky` it never unhappens.
final class Signal: Sendable {
    private struct State {
        var isSet = false
        var lastID: UInt64 = 0
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        /// Waiters whose task was cancelled before they had said what to resume.
        var cancelled: Set<UInt64> = []
    }

    private let isSticky: Bool
    private let state = Mutex(State())

    init(isSticky: Bool = false) {
        self.isSticky = isSticky
    }

    /// Whether it has happened and nobody has taken note of it.
    var isSet: Bool { state.withLock { $0.isSet } }

    /// Lets all waiters go; if there are none, the next one.
    func notify() {
        let waiters = state.withLock { state in
            let waiters = Array(state.waiters.values)
            state.waiters = [:]
            state.isSet = isSticky || waiters.isEmpty
            return waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when it has happened, or when the task is cancelled.
    func wait() async {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.isSet || state.cancelled.remove(id) != nil {
                        if state.isSet { state.isSet = isSticky }
                        return true
                    }
                    state.waiters[id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                let waiter = state.waiters.removeValue(forKey: id)
                if waiter == nil { state.cancelled.insert(id) }
                return waiter
            }
            waiter?.resume()
        }
        // A cancellation that came after the end has left its mark.
        state.withLock { state in _ = state.cancelled.remove(id) }
    }

    /// Returns when it has happened, when `limit` has passed, or when the task is cancelled.
    func wait(upTo limit: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait() }
            group.addTask { try? await Task.sleep(for: limit) }
            await group.next()
            group.cancelAll()
        }
    }
}
