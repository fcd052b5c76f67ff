import Synchronization

/// A fixed number of connections, each with its own thread, lent to one message at a time.
final class SMTPConnectionPool: Sendable {
    private struct State {
        var idle: [TransferLoop]
        var waiting: [(id: UInt64, continuation: CheckedContinuation<TransferLoop?, Never>)] = []
        var cancelledEarly: Set<UInt64> = []
        var lastID: UInt64 = 0
        var isClosed = false
    }

    /// Set by `close`, for transfers inside a call of libcurl that waits.
    let closing = CancellationFlag()
    private let all: [TransferLoop]
    private let state: Mutex<State>

    init(count: Int) {
        all = (1...count).map { number in
            TransferLoop(
                name: "smtp-\(number)",
                limits: .init(connectionsPerHost: 1, connections: 1, idleTimeout: .seconds(30)))
        }
        state = Mutex(State(idle: all.reversed()))
    }

    /// Lends a connection, the one used last first, so that few are kept warm. Nil when cancelled or closed.
    func take() async -> TransferLoop? {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        defer { state.withLock { state in _ = state.cancelledEarly.remove(id) } }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: TransferLoop?? = state.withLock { state in
                    if state.cancelledEarly.remove(id) != nil || state.isClosed { return .some(nil) }
                    if let connection = state.idle.popLast() { return connection }
                    state.waiting.append((id, continuation))
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<TransferLoop?, Never>? in
                guard let index = state.waiting.firstIndex(where: { $0.id == id }) else {
                    state.cancelledEarly.insert(id)
                    return nil
                }
                return state.waiting.remove(at: index).continuation
            }
            waiter?.resume(returning: nil)
        }
    }

    func give(back connection: TransferLoop) {
        let waiter = state.withLock { state -> CheckedContinuation<TransferLoop?, Never>? in
            if state.waiting.isEmpty {
                state.idle.append(connection)
                return nil
            }
            return state.waiting.removeFirst().continuation
        }
        waiter?.resume(returning: connection)
    }

    func close() async {
        closing.set()
        let waiters = state.withLock { state in
            state.isClosed = true
            defer { state.waiting.removeAll() }
            return state.waiting.map(\.continuation)
        }
        for waiter in waiters { waiter.resume(returning: nil) }
        for connection in all { await connection.close() }
    }
}
