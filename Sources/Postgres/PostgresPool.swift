import CLibPQ
package import Logging
import Metrics
import OwnerThread
import ServiceLifecycle
import Synchronization

/// A bounded set of connections that share one thread.
///
/// It opens connections when somebody needs them, whether `run()` is running or not. Callers wait in line, first come
/// first served, for at most the acquire timeout. Broken connections are replaced; while the server is away, callers
/// wait within their timeout for it to come back, except for failures that do not heal, such as a wrong password.
package final class PostgresPool: Service, Sendable {
    typealias Waiter = CheckedContinuation<PostgresConnection, any Error>
    typealias State = PoolState<PostgresConnection, Waiter>

    package let configuration: PostgresConfiguration
    /// The most connections there may be, apart from those that listen.
    package let size: Int
    package let acquireTimeout: Duration
    /// How long `run()` and `shutDown()` wait for borrowed connections before they close them.
    package let shutdownTimeout: Duration
    /// How often `run()` checks the connections nobody uses.
    package let healthCheckInterval: Duration
    let logger: Logger
    let threads: PostgresThreads
    let lastID = Atomic<UInt64>(0)

    private let state: Mutex<State>
    private let drain = Mutex(Drain())
    let listeners = Mutex<[WeakConnection]>([])
    private let waiting = Gauge(label: "db.pool.waiting")
    private let waits = Metrics.Timer(label: "db.pool.wait")
    private let timeouts = Counter(label: "db.pool.timeouts")
    private let failures = Counter(label: "db.connect.failures")

    private struct Drain {
        var isDrained = false
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    }

    /// Runs tasks on the thread of the connections; for tasks that mostly wait for them and never block.
    package var taskExecutor: any TaskExecutor { threads.tasks }

    package init(
        configuration: PostgresConfiguration, size: Int, acquireTimeout: Duration = .seconds(5),
        shutdownTimeout: Duration = .seconds(10), healthCheckInterval: Duration = .seconds(30), logger: Logger
    ) {
        self.configuration = configuration
        self.size = size
        self.acquireTimeout = acquireTimeout
        self.shutdownTimeout = shutdownTimeout
        self.healthCheckInterval = healthCheckInterval
        self.logger = logger
        threads = PostgresThreads()
        state = Mutex(State(size: size))
    }

    // MARK: Calls

    /// Runs one statement on any connection.
    ///
    /// A connection that turns out to be dead before anything was sent is replaced once without a word.
    package func query(_ sql: SQL) async throws -> Rows {
        try await once(.statements([sql]))[0]
    }

    /// Runs statements in one round trip and one transaction: all or nothing.
    ///
    /// The fastest way to write a batch. If the connection breaks, falls silent or is closed by a late shutdown,
    /// `isCommitUnknown` tells whether the batch may have been committed.
    package func pipeline(_ statements: [SQL]) async throws -> [Rows] {
        do {
            return try await once(.statements(statements))
        } catch let error as PostgresError {
            throw error.asOfCommit
        }
    }

    private func once(_ request: PostgresConnection.Request) async throws -> [Rows] {
        for isLastTry in [false, true] {
            let connection = try await acquire()
            defer { release(connection) }
            do {
                return try await connection.perform(request)
            } catch let error as PostgresError where error.isUnsent && !isLastTry {
                logger.debug("Connection was dead, trying another", metadata: [LogKey.error: "\(error)"])
            }
        }
        preconditionFailure("the second try returns or throws")
    }

    /// Lends a connection for the body.
    ///
    /// It must not be used after the body has returned. An open transaction is rolled back then, and channels are left;
    /// other changes to the session (SET, temporary tables, session locks) stay, so undo them.
    package nonisolated(nonsending) func withConnection<Result>(
        _ body: nonisolated(nonsending) (PostgresConnection) async throws -> Result
    ) async throws -> Result {
        let connection = try await acquire()
        defer { release(connection) }
        return try await body(connection)
    }

    /// Runs a transaction: commits when the body returns, rolls back when it throws or its task is cancelled.
    ///
    /// - Throws: what the body throws; `transactionAborted` if the body swallowed the error of a statement; an error
    ///   with `isCommitUnknown` if the connection broke during the commit.
    package nonisolated(nonsending) func withTransaction<Result>(
        isolation: Transaction.Isolation = .readCommitted, readOnly: Bool = false,
        _ body: nonisolated(nonsending) (Transaction) async throws -> Result
    ) async throws -> Result {
        try await withConnection { connection in
            try await connection.withTransaction(isolation: isolation, readOnly: readOnly, body)
        }
    }

    // MARK: Borrowing

    /// A connection that was alive a moment ago.
    nonisolated(nonsending) func acquire() async throws -> PostgresConnection {
        try Task.checkCancellation()
        // An idle connection that breaks is taken out by its own thread; one that is found broken here was faster.
        while let connection = state.withLock({ $0.lease() }) {
            if connection.condition.load(ordering: .acquiring) == .clean { return connection }
            release(connection)
        }
        let start = ContinuousClock.now
        defer {
            let (seconds, attoseconds) = start.duration(to: .now).components
            waits.recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
        }
        let id = lastID.add(1, ordering: .relaxed).newValue
        defer { state.withLock { $0.forget(id) } }
        let timer = threads.owner.schedule(after: acquireTimeout) { [weak self] in
            guard let self else { return }
            let actions = state.withLock { $0.timeOut(id) }
            if !actions.isEmpty { timeouts.increment() }
            perform(actions)
        }
        defer { threads.owner.cancel(timer) }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                perform(state.withLock { $0.wait(id, continuation) })
            }
        } onCancel: {
            perform(state.withLock { $0.cancel(id) })
        }
    }

    func release(_ connection: PostgresConnection) {
        perform(state.withLock { $0.release(connection, connection.condition.load(ordering: .acquiring)) })
    }

    /// Carries out what the state decided. Never called with the lock held.
    private func perform(_ actions: [State.Action]) {
        if actions.isEmpty { return }
        for action in actions {
            switch action {
            case .resume(let waiter, let connection): waiter.resume(returning: connection)
            case .fail(let waiter, let error): waiter.resume(throwing: error)
            case .connect: connect()
            case .retryLater(let failures): retry(after: failures)
            case .restore(let connection): restore(connection)
            case .close(let connection): connection.enter { $0.close() }
            case .drained: markDrained()
            }
        }
        waiting.record(state.withLock { $0.waiterCount })
    }

    private func connect() {
        let connection = PostgresConnection(configuration, threads: threads, logger: logger)
        connection.open(
            onClose: { [weak self, weak connection] in
                guard let self, let connection else { return }
                perform(state.withLock { $0.closed(connection) })
            },
            completion: { [weak self] result in
                guard let self else { return }
                switch result {
                case .success:
                    perform(state.withLock { $0.connected(connection) })
                case .failure(let failure):
                    let error = failure as? PostgresError ?? PostgresError(.connectionFailed, "\(failure)")
                    failures.increment()
                    logger.info(
                        "No connection to the database",
                        metadata: [LogKey.code: "\(error.code)", LogKey.error: "\(error)"])
                    perform(state.withLock { $0.connectFailed(error) })
                }
            })
    }

    private func retry(after failures: Int) {
        let limit = Duration.milliseconds(50 * (1 << min(failures, 5)))
        threads.owner.schedule(after: limit * Double.random(in: 0.5...1)) { [weak self] in
            guard let self else { return }
            perform(state.withLock { $0.retryConnecting() })
        }
    }

    /// Ends what a caller left open, and checks that the server answers, within five seconds.
    private func restore(_ connection: PostgresConnection) {
        // Holds the pool until the connection is settled, so that none is lost on the way.
        connection.enter { connection in
            connection.restore { [self] isUsable in
                perform(state.withLock { isUsable ? $0.restored(connection) : $0.closed(connection) })
            }
        }
    }

    // MARK: Life

    /// Checks idle connections until the service is told to stop, then waits for borrowed ones and closes everything.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while (try? await Task.sleep(for: self.healthCheckInterval)) != nil {
                self.perform(self.state.withLock { $0.checkIdle() })
            }
        }
        await shutDown()
    }

    /// Lends no more connections, waits for the borrowed ones within the shutdown timeout, and closes all.
    package func shutDown() async {
        let timer = threads.owner.schedule(after: shutdownTimeout) { [weak self] in
            guard let self else { return }
            let late = state.withLock { Array($0.leased.values) + Array($0.restoring.values) }
            logger.info("Closing connections that are still in use", metadata: ["db.connections": "\(late.count)"])
            for connection in late { connection.enter { $0.close() } }
            markDrained()
        }
        perform(state.withLock { $0.shutDown() })
        for listener in listeners.withLock({ $0 }) { listener.connection?.enter { $0.close() } }
        await withCheckedContinuation { continuation in
            let isDrained = drain.withLock { drain in
                if !drain.isDrained { drain.waiters[lastID.add(1, ordering: .relaxed).newValue] = continuation }
                return drain.isDrained
            }
            if isDrained { continuation.resume() }
        }
        threads.owner.cancel(timer)
    }

    private func markDrained() {
        let waiters = drain.withLock { drain in
            drain.isDrained = true
            defer { drain.waiters = [:] }
            return Array(drain.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    var isShutDown: Bool { state.withLock { $0.isShutDown } }

    /// How many callers wait for a connection.
    package var waitingCount: Int { state.withLock { $0.waiterCount } }

    /// How many connections there are, and how many of them are in use.
    package var connectionCounts: (all: Int, inUse: Int) {
        state.withLock { ($0.connectionCount, $0.leased.count) }
    }
}

extension PostgresConnection {
    /// Brings the session back to how it was handed out, or closes it.
    func restore(_ completion: @escaping @Sendable (Bool) -> Void) {
        let limit = threads.owner.schedule(after: .seconds(5)) { [weak self] in
            self?.assumeIsolated { $0.close(PostgresError(.connectionLost, "an idle connection did not answer")) }
        }
        var cleaning: [String] = []
        if let status = handle?.transactionStatus, status == PQTRANS_INTRANS || status == PQTRANS_INERROR {
            cleaning.append("rollback")
        }
        if !channels.isEmpty { cleaning.append("unlisten *") }
        channels = []
        notifications = []
        deferred = []
        scope = nil
        enqueue(
            Job(
                id: makeID(), request: .control(cleaning), isShielded: true,
                completion: { result in
                    self.threads.owner.cancel(limit)
                    self.assumeIsolated { connection in
                        if case .failure = result {
                            connection.close(PostgresError(.connectionLost, "an idle connection could not be reset"))
                        }
                        completion(connection.closeReason == nil)
                    }
                }))
    }
}
