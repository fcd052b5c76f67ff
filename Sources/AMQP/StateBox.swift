import OwnerThread
import Synchronization

/// The connection state that everybody may read, with those who wait for it to become `connected`.
final class StateBox: Sendable {
    private struct Contents {
        var state: ConnectionState = .connecting
        var waiters: [UInt64: OneShot<Result<Void, any Error>>] = [:]
        var lastID: UInt64 = 0
        var isFinished = false
    }

    private let contents = Mutex(Contents())

    var state: ConnectionState { contents.withLock { $0.state } }

    /// Sets the state, until it is final.
    func set(_ state: ConnectionState) {
        let woken = contents.withLock { contents -> [OneShot<Result<Void, any Error>>] in
            if contents.isFinished { return [] }
            contents.state = state
            guard state == .connected else { return [] }
            defer { contents.waiters.removeAll() }
            return Array(contents.waiters.values)
        }
        for waiter in woken { waiter.give(.success(())) }
    }

    /// There will be no connection any more: fails those who wait, and whoever would from now on gets `closed`.
    func finish(_ error: AMQPError) {
        let failed = contents.withLock { contents in
            contents.isFinished = true
            contents.state = .disconnected(lastError: nil)
            defer { contents.waiters.removeAll() }
            return Array(contents.waiters.values)
        }
        for waiter in failed { waiter.give(.failure(error)) }
    }

    /// Waits for `connected`, at most `limit` by the thread's clock.
    ///
    /// The thread forgets its timers when it stops, so a wait that outlives the connection ends by `finish` only.
    func waitUntilConnected(within limit: Duration, on thread: OwnerThread) async throws {
        let waiter = OneShot<Result<Void, any Error>>()
        let id = try contents.withLock { contents throws(AMQPError) -> UInt64? in
            if contents.isFinished { throw AMQPError(.closed, "closed") }
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
