import CLibPQ
import Logging
import OwnerThread
import Synchronization

/// Connecting and closing.
extension PostgresConnection {
    /// An attempt to connect that is under way.
    struct Connecting {
        let completion: @Sendable (Result<Void, any Error>) -> Void
        var timer: OwnerThread.TimerID?
    }

    /// Begins to connect; `completion` is called once, on the owner thread.
    nonisolated func open(
        onClose: (@Sendable () -> Void)? = nil, completion: @escaping @Sendable (Result<Void, any Error>) -> Void
    ) {
        enter { connection in
            connection.onClose = onClose
            connection.startConnecting(completion)
        }
    }

    private func startConnecting(_ completion: @escaping @Sendable (Result<Void, any Error>) -> Void) {
        // Closed before it was opened, by a task that was cancelled.
        if let closeReason { return completion(.failure(closeReason.underlying ?? closeReason)) }
        connecting = Connecting(completion: completion)
        // libpq leaves the time limit of a non-blocking attempt to its caller.
        connecting?.timer = threads.owner.schedule(after: configuration.connectTimeout) { [weak self] in
            self?.assumeIsolated { connection in
                guard connection.connecting != nil else { return }
                connection.close(
                    PostgresError(
                        .timeout,
                        "no connection to \(connection.configuration) in \(connection.configuration.connectTimeout)"
                    ))
            }
        }
        guard let names = configuration.hostNames else { return beginAttempt([:]) }
        // Holds the connection until the names are known, as the watch does afterwards.
        threads.resolver.schedule(after: .zero) { [self, lookUp = threads.lookUp] in
            let addresses = Result { () throws(PostgresError) in try names.resolve(lookUp) }
            enter { connection in
                // Timed out, or cancelled.
                guard connection.connecting != nil else { return }
                switch addresses {
                case .success(let addresses): connection.beginAttempt(addresses)
                case .failure(let error): connection.failConnecting(error)
                }
            }
        }
    }

    private func beginAttempt(_ addresses: [String: String]) {
        do throws(PostgresError) {
            handle = try ConnectionHandle(configuration, addresses: addresses, logger: logger)
        } catch {
            return failConnecting(error)
        }
        guard let raw = handle?.raw, PQstatus(raw) != CONNECTION_BAD else { return failConnecting(nil) }
        // Before the first PQconnectPoll, act as if it had asked to write.
        watchSocket(for: .writable)
    }

    private func pollConnecting() {
        // The attempt may go on with another socket under the same number, so the watch must not outlive the call.
        if let watch { threads.owner.unwatch(watch) }
        watch = nil
        guard let raw = handle?.raw else { return }
        switch PQconnectPoll(raw) {
        case PGRES_POLLING_READING: watchSocket(for: .readable)
        case PGRES_POLLING_WRITING: watchSocket(for: .writable)
        case PGRES_POLLING_OK: finishConnecting(raw)
        default: failConnecting(nil)
        }
    }

    private func finishConnecting(_ raw: OpaquePointer) {
        guard let attempt = connecting else { return }
        guard PQsetnonblocking(raw, 1) == 0, PQenterPipelineMode(raw) == 1 else { return failConnecting(nil) }
        connecting = nil
        if let timer = attempt.timer { threads.owner.cancel(timer) }
        watchSocket(for: .readable)
        lastUse = .now
        condition.store(.clean, ordering: .releasing)
        attempt.completion(.success(()))
        startNext()
    }

    private func failConnecting(_ error: PostgresError?) {
        close(error ?? handle?.lastError(.connectionFailed) ?? PostgresError(.connectionFailed, "no connection"))
    }

    /// Watches the socket; while connecting the watch keeps the connection alive, afterwards it does not.
    private func watchSocket(for interest: Readiness) {
        guard let descriptor = handle?.descriptor, descriptor >= 0 else { return failConnecting(nil) }
        self.interest = interest
        if connecting != nil {
            watch = threads.owner.watch(descriptor, for: interest) { _ in
                self.assumeIsolated { connection in connection.pollConnecting() }
            }
        } else {
            watch = threads.owner.watch(descriptor, for: interest) { [weak self] readiness in
                self?.assumeIsolated { connection in connection.socketIsReady(readiness) }
            }
        }
    }

    /// Frees the session at once and fails everything that waits.
    ///
    /// The job whose answers are missing gets the reason; jobs that were not sent yet get it marked as such.
    func close(_ reason: any Error) {
        guard closeReason == nil else { return }
        let error =
            (reason as? PostgresError) ?? PostgresError(.closed, "the connection has been closed", underlying: reason)
        closeReason = error
        condition.store(.closed, ordering: .releasing)
        if let watch { threads.owner.unwatch(watch) }
        watch = nil
        if let drainDeadline { threads.owner.cancel(drainDeadline) }
        drainDeadline = nil
        handle = nil

        if let attempt = connecting {
            connecting = nil
            if let timer = attempt.timer { threads.owner.cancel(timer) }
            attempt.completion(.failure(reason))
        }
        if let job = running?.job {
            if let watchdog = running?.watchdog { threads.owner.cancel(watchdog) }
            running = nil
            var unanswered = error
            unanswered.isUnanswered = true
            job.completion(.failure(job.isCancelled ? CancellationError() : unanswered))
        }
        var unsent = error
        unsent.isUnsent = true
        for job in queue { job.completion(.failure(unsent)) }
        queue = []
        listener?.continuation.resume(throwing: error)
        listener = nil
        onClose?()
        onClose = nil
    }

    /// Looks whether the server has hung up in the meantime; no round trip.
    func checkLiveness() {
        guard let raw = handle?.raw, running == nil else { return }
        // The first call may only read the server's last words.
        guard PQconsumeInput(raw) == 1, drainNotifications(), PQconsumeInput(raw) == 1 else {
            return close(lostConnection())
        }
    }

    /// Why a connection broke, in the server's words if it left any.
    func lostConnection() -> PostgresError {
        if var error = handle?.notices.lastFatal {
            error.code = .connectionLost
            return error
        }
        return handle?.lastError(.connectionLost) ?? PostgresError(.connectionLost, "the connection broke")
    }
}
