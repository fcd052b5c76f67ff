import CLibPQ
package import Logging
import OwnerThread
import Synchronization

/// One session with the server.
///
/// An actor that lives on the thread which owns its socket; the connections of a pool share that thread. Calls may
/// overlap: they are sent one after another, in the order they came.
///
/// Why an actor for each connection, and not one for the whole pool: each `PGconn` then has exactly one isolation domain
/// that the compiler checks, the pool's bookkeeping stays apart in a lock that is held for microseconds, and borrowing
/// an idle connection needs no hop to the thread.
package actor PostgresConnection {
    /// What the pool may do with a connection that comes back. Written on the owner thread before a call ends.
    enum Condition: UInt8, AtomicRepresentable {
        case connecting
        /// Nothing is left behind.
        case clean
        /// In a transaction, in the middle of something, or listening.
        case dirty
        case closed
    }

    /// Work for the server, in the order it is to be sent.
    enum Request: Sendable {
        /// Any number of statements in one round trip; none at all is a ping.
        case statements([SQL])
        /// Statements of ours, never kept prepared.
        case control([String])
        /// Text with several statements, without parameters.
        case script(String)
        /// COPY ... FROM STDIN and its data in the text format.
        case copyIn(SQL, chunks: [[UInt8]])
    }

    /// A statement that waits for the next round trip.
    enum Deferred: Sendable, Equatable {
        case begin(String)
        case savepoint(String)
        case release(String)
        case rollback(String)
        /// One of the caller's, whose answer nobody needs.
        case statement(SQL)
    }

    struct Job {
        let id: UInt64
        let request: Request
        /// The transaction it belongs to.
        var scope: TransactionScope?
        /// Runs to its end even if its task is cancelled.
        var isShielded = false
        var isCancelled = false
        var hasRetried = false
        let completion: @Sendable (Result<[Rows], any Error>) -> Void
    }

    /// The job whose answers are being read.
    struct Running {
        var job: Job
        var exchange: Exchange
        /// Savepoints that the exchange sets, with the step that does.
        var savepoints: [(step: Int, name: String)] = []
        /// Whether this exchange only sends what was deferred, ahead of a script or COPY.
        var isPreamble = false
        var isPipelined = true
        /// The next chunk of a COPY; nil when there is no COPY to feed.
        var nextChunk: Int?
        var watchdog: OwnerThread.TimerID?
        /// All answers are in, but the request to cancel has not come back.
        var isFinished = false
    }

    nonisolated let threads: PostgresThreads
    nonisolated package var unownedExecutor: UnownedSerialExecutor { threads.owner.asUnownedSerialExecutor() }
    nonisolated let condition = Atomic<Condition>(.connecting)
    nonisolated let lastID = Atomic<UInt64>(0)
    nonisolated let configuration: PostgresConfiguration
    nonisolated let logger: Logger

    var handle: ConnectionHandle?
    var watch: OwnerThread.WatchID?
    var interest: Readiness = .readable
    var connecting: Connecting?
    /// Why the connection is closed.
    var closeReason: PostgresError?
    var onClose: (@Sendable () -> Void)?

    var queue: [Job] = []
    var running: Running?
    var statements: StatementCache
    var lastUse = ContinuousClock.now

    /// What goes ahead of the next exchange, in its round trip.
    var deferred: [Deferred] = []
    /// Savepoints that the server has set; one whose exchange failed before it is not among them.
    var savepoints: Set<String> = []
    var scope: UInt64?
    var lastEndedScope: UInt64 = 0

    var isCancelInFlight = false
    var drainDeadline: OwnerThread.TimerID?

    var channels: Set<String> = []
    var notifications: [ServerNotification] = []
    var hasLostNotifications = false
    var listener: Listener?

    init(_ configuration: PostgresConfiguration, threads: PostgresThreads, logger: Logger) {
        self.configuration = configuration
        self.threads = threads
        self.logger = logger
        statements = StatementCache(limit: configuration.statementCacheSize)
    }

    isolated deinit {
        if let watch { threads.owner.unwatch(watch) }
    }

    /// Connects on threads of its own.
    ///
    /// - Throws: `connectionFailed`, `authenticationFailed`, `tlsFailed`, `timeout`; `CancellationError`.
    package static func connect(
        _ configuration: PostgresConfiguration, logger: Logger
    ) async throws -> PostgresConnection {
        try await connect(configuration, threads: PostgresThreads(), logger: logger)
    }

    static func connect(
        _ configuration: PostgresConfiguration, threads: PostgresThreads, logger: Logger
    ) async throws -> PostgresConnection {
        let connection = PostgresConnection(configuration, threads: threads, logger: logger)
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                connection.open { result in continuation.resume(with: result) }
            }
        } onCancel: {
            connection.enter { connection in connection.close(CancellationError()) }
        }
        return connection
    }

    /// Runs code on the connection's thread, after what is queued there.
    nonisolated func enter(_ body: @escaping @Sendable (isolated PostgresConnection) -> Void) {
        threads.owner.schedule(after: .zero) { self.assumeIsolated { connection in body(connection) } }
    }

    // MARK: Calls

    /// Runs one statement.
    ///
    /// Cancelling the task cancels the statement on the server and throws `CancellationError`; the connection stays
    /// usable. A statement that ended before the request arrived still returns its rows.
    package nonisolated func query(_ sql: SQL) async throws -> Rows {
        try await perform(.statements([sql]))[0]
    }

    /// Runs statements in one round trip and, outside a transaction, in one transaction: all or nothing.
    ///
    /// If the connection ends before the answer, `isCommitUnknown` says that the batch may have been committed.
    package nonisolated func pipeline(_ statements: [SQL]) async throws -> [Rows] {
        do {
            return try await perform(.statements(statements))
        } catch let error as PostgresError {
            throw error.asOfCommit
        }
    }

    /// Runs text with any number of statements, as `psql` would; parameters are not possible.
    ///
    /// - Parameter text: sent as it is. Never build it from input.
    package nonisolated func script(_ text: String) async throws {
        _ = try await perform(.script(text))
    }

    /// Asks the server to cancel what runs now; its caller gets an error with code `cancelled`.
    package func cancel() {
        if running != nil { requestCancel() }
    }

    /// Ends the session; calls that are under way fail with `closed`.
    package func close() {
        close(PostgresError(.closed, "the connection has been closed"))
    }

    /// Sends a request and waits for all its answers.
    nonisolated func perform(
        _ request: Request, in scope: TransactionScope? = nil, isShielded: Bool = false
    ) async throws -> [Rows] {
        try Self.validate(request)
        if !isShielded { try Task.checkCancellation() }
        let id = makeID()
        if isShielded {
            return try await submit(request, id: id, in: scope, isShielded: true)
        }
        return try await withTaskCancellationHandler {
            try await submit(request, id: id, in: scope, isShielded: false)
        } onCancel: {
            enter { connection in connection.cancel(id) }
        }
    }

    private func submit(
        _ request: Request, id: UInt64, in scope: TransactionScope?, isShielded: Bool
    ) async throws -> [Rows] {
        // Again, on the thread: a cancellation since the caller's check has found no job to cancel.
        if !isShielded { try Task.checkCancellation() }
        return try await withCheckedThrowingContinuation { continuation in
            enqueue(
                Job(
                    id: id, request: request, scope: scope, isShielded: isShielded,
                    completion: { result in continuation.resume(with: result) }))
        }
    }

    nonisolated func makeID() -> UInt64 {
        lastID.add(1, ordering: .relaxed).newValue
    }

    /// Refuses values that cannot be sent before anything is.
    private static func validate(_ request: Request) throws(PostgresError) {
        switch request {
        case .statements(let statements):
            for sql in statements { try validate(sql) }
        case .script(let text): try validate(text)
        case .copyIn(let sql, _): try validate(sql)
        case .control: break
        }
    }

    static func validate(_ sql: SQL) throws(PostgresError) {
        for (index, parameter) in sql.parameters.enumerated() {
            if case .invalid(let reason) = parameter.value {
                throw PostgresError(.invalidParameter, "parameter $\(index + 1): \(reason)")
            }
        }
        // The protocol counts parameters in 16 bits.
        guard sql.parameters.count <= 65_535 else {
            throw PostgresError(.invalidParameter, "a statement takes at most 65535 parameters")
        }
        for fragment in sql.fragments { try validate(fragment) }
    }

    private static func validate(_ text: String) throws(PostgresError) {
        guard !text.utf8.contains(0) else { throw PostgresError(.invalidParameter, "a statement must not contain NUL") }
    }
}
