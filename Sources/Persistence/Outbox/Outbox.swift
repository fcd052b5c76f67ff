package import Foundation
package import Messaging
package import Postgres

/// Messages that wait, beside the effect that they tell of, for the broker to take them.
package enum Outbox {
    /// Adds a message to the caller's transaction; the same message id a second time adds nothing.
    ///
    /// - Parameter availableAt: nil is at once.
    /// - Throws: `PostgresError`.
    package static func insert(
        _ message: OutgoingMessage, availableAt: Date? = nil, in transaction: Transaction
    ) async throws {
        let envelope = message.envelope
        _ = try await transaction.query(
            """
            insert into outbox (message_id, exchange, routing_key, type, correlation_id, causation_id, received_at,
                trace_parent, body, available_at)
            values (\(envelope.id), \(message.exchange.rawValue), \(message.routingKey), \(envelope.type.rawValue),
                \(envelope.correlationID), \(envelope.causationID), \(envelope.receivedAt), \(envelope.traceParent),
                \(envelope.body), coalesce(\(availableAt), now()))
            on conflict on constraint outbox_message_once do nothing
            """)
    }
}
