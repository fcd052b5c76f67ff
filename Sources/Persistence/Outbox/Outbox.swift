package import Foundation
package import Messaging
package import Postgres

/// Messages that wait, beside the effect that they tell of, for the broker to take them.
package enum Outbox {
    /// Adds a message to the caller's transaction, with its next statement or its commit; the same message id a second time
    /// adds nothing.
    ///
    /// - Parameter availableAt: nil is at once.
    /// - Throws: `PostgresError`.
    package static func insert(
        _ message: OutgoingMessage, availableAt: Date? = nil, in transaction: Transaction
    ) async throws {
        try await transaction.enqueue(insertion(message, availableAt: availableAt))
    }

    /// The statement of `insert`, for pipelines.
    package static func insertion(_ message: OutgoingMessage, availableAt: Date? = nil) -> SQL {
        let envelope = message.envelope
        return """
            insert into outbox (message_id, exchange, routing_key, type, correlation_id, causation_id, received_at,
                schema_version, trace_parent, body, available_at)
            values (\(envelope.id), \(message.exchange.rawValue), \(message.routingKey), \(envelope.type.rawValue),
                \(envelope.correlationID), \(envelope.causationID as String?), \(envelope.receivedAt),
                \(envelope.schemaVersion), \(envelope.traceParent as String?), \(envelope.body),
                coalesce(\(availableAt as Date?), now()))
            on conflict on constraint outbox_message_once do nothing
            """
    }

    /// Locks messages that are due, the longest due first, passing over those that another relay has in hand.
    ///
    /// - Parameter limit: at most this many.
    package static func claim(limit: Int, in transaction: Transaction) async throws -> [StoredMessage] {
        let rows = try await transaction.query(
            """
            select id, message_id, exchange, routing_key, type, correlation_id, causation_id, received_at,
                schema_version, trace_parent, body, created_at
            from outbox where available_at <= now()
            order by available_at, id limit \(limit) for update skip locked
            """)
        return try rows.map { row in
            StoredMessage(
                id: try row.decode("id"), exchange: try row.decode("exchange"),
                routingKey: try row.decode("routing_key"),
                envelope: Envelope(
                    id: try row.decode("message_id"), type: MessageType(rawValue: try row.decode("type")),
                    correlationID: try row.decode("correlation_id", as: String.self),
                    causationID: try row.decode("causation_id", as: String?.self),
                    timestamp: try row.decode("created_at"), receivedAt: try row.decode("received_at", as: Date.self),
                    schemaVersion: try row.decode("schema_version"),
                    traceParent: try row.decode("trace_parent", as: String?.self), body: try row.decode("body")))
        }
    }

    /// Forgets messages that the broker has confirmed.
    package static func delete(_ ids: [Int], in transaction: Transaction) async throws {
        guard !ids.isEmpty else { return }
        _ = try await transaction.query("delete from outbox where id = any(\(ids))")
    }

    /// Puts messages off that the broker did not want, so that they do not hold up the others.
    package static func postpone(_ ids: [Int], by delay: Duration, in transaction: Transaction) async throws {
        guard !ids.isEmpty else { return }
        let seconds = Int(delay.components.seconds)
        _ = try await transaction.query(
            "update outbox set available_at = now() + make_interval(secs => \(seconds)) where id = any(\(ids))")
    }

    /// What is due and not yet published.
    package static func backlog(_ pool: PostgresPool) async throws -> Backlog {
        let rows = try await pool.query(
            """
            select count(*) as count, extract(epoch from now() - min(available_at))::float8 as lag
            from outbox where available_at <= now()
            """)
        return try Backlog(rows[0])
    }
}
