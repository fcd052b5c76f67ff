package import Foundation
package import Logging
package import Messaging
import Persistence
package import Postgres
package import Traces

/// What a `MessageHandler` works with; valid until it returns.
package struct HandlerContext: Sendable {
    /// Commits together with the inbox row and everything published.
    package let transaction: Transaction
    /// The instant at which the job began.
    package let now: Date
    /// The worker's id, for rows that say who.
    package let worker: String
    /// Carries the message's ids in its metadata.
    package let logger: Logger
    private let trace: TraceContext?
    private let onPublish: @Sendable () -> Void

    /// - Parameters:
    ///   - trace: the message's own, where messages of several are handled at once.
    ///   - onPublish: called for each outbox row that was written.
    package init(
        transaction: Transaction, now: Date, worker: String, logger: Logger, trace: TraceContext? = nil,
        onPublish: @escaping @Sendable () -> Void = {}
    ) {
        self.trace = trace
        self.transaction = transaction
        self.now = now
        self.worker = worker
        self.logger = logger
        self.onPublish = onPublish
    }

    /// Does a part of the work that belongs to this message alone, so that what it writes carries the message's trace.
    package nonisolated(nonsending) func traced<Result>(
        _ work: nonisolated(nonsending) () async throws -> Result
    ) async rethrows -> Result {
        guard let trace else { return try await work() }
        return try await TraceContext.$current.withValue(trace) { try await work() }
    }

    /// Sends a message if and only if the transaction commits.
    ///
    /// It becomes an outbox row; a second row with the same message id adds nothing.
    /// - Parameter availableAt: nil sends it right after the commit; later makes it a scheduled message.
    /// - Throws: `PostgresError`.
    package func publish(_ message: OutgoingMessage, availableAt: Date? = nil) async throws {
        var message = message
        message.envelope = message.envelope.sent(by: .current)
        try await Outbox.insert(message, availableAt: availableAt, in: transaction)
        onPublish()
    }
}

/// What an `EffectHandler` works with; valid until it returns.
package struct EffectContext: Sendable {
    package let pool: PostgresPool
    package let now: @Sendable () -> Date
    /// The consumer in the inbox, such as `notification`.
    package let role: String
    /// The worker's id, for rows that say who.
    package let worker: String
    /// Carries the message's ids in its metadata.
    package let logger: Logger
    /// Whether the worker drains: begin nothing that cannot be finished within seconds.
    package let isShuttingDown: @Sendable () -> Bool
    /// Has the outbox relayed now rather than at its next sweep; call it after a commit that wrote to the outbox.
    package let relayOutbox: @Sendable () -> Void

    package init(
        pool: PostgresPool, now: @escaping @Sendable () -> Date, role: String, worker: String, logger: Logger,
        isShuttingDown: @escaping @Sendable () -> Bool, relayOutbox: @escaping @Sendable () -> Void = {}
    ) {
        self.pool = pool
        self.now = now
        self.role = role
        self.worker = worker
        self.logger = logger
        self.isShuttingDown = isShuttingDown
        self.relayOutbox = relayOutbox
    }
}
