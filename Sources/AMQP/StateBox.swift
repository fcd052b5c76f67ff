import OwnerThread
import Synchronization

/// The connection state that everybody may read, with those who wait for it to become `connected`.
final class StateBox: Sendable {
    private struct Contents {
        var state: ConnectionState = .connecting
        var waiters: [UInt64: OneShot<Result<Void, any Error>>] = [:]
        var lastID: UInt64 = 0
    }

    private let contents = Mutex(Contents())

    var state: ConnectionState { contents.withLock { $0.state } }

    /// Sets the state; answers whether it changed.
    @discardableResult
    func set(_ state: ConnectionState) -> Bool {
        let (hasChanged, woken) = contents.withLock { contents -> (Bool, [OneShot<Result<Void, any Error>>]) in
            let hasChanged = contents.state != state
            contents.state = state
            guard state == .connected else { return (hasChanged, []) }
            defer { contents.waiters.removeAll() }
            return (hasChanged, Array(contents.waiters.values))
        }
        for waiter in woken { waiter.give(.success(())) }
        return hasChanged
    }

    /// Waits for `connected`, at most `limit` by the thread's clock.
    func waitUntilConnected(within limit: Duration, on thread: OwnerThread) async throws {
        let waiter = OneShot<Result<Void, any Error>>()
        let id = contents.withLock { contents -> UInt64? in
            guard contents.state != .connected else { return nil }
            contents.lastID += 1
            contents.waiters[contents.lastID] = waiter
            return contents.lastID
        }
        guard let id else { return }
        let timer = thread.schedule(after: limit) { [self] in
            let error: AMQPError =
                switch state {
                case .disconnected(let lastError?), .degraded(let lastError): lastError
                case .blocked(let reason): AMQPError(.timedOut, "the broker blocks publishing: \(reason)")
                default: AMQPError(.timedOut, "not connected within \(limit)")
                }
            waiter.give(.failure(error))
        }
        defer {
            thread.cancel(timer)
            contents.withLock { contents in contents.waiters[id] = nil }
        }
        try await withTaskCancellationHandler {
            await waiter.value()
        } onCancel: {
            waiter.give(.failure(CancellationError()))
        }.get()
    }
}
