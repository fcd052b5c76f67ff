import Foundation
package import Messaging
package import Postgres

/// Messages that the ingress accepted while the broker was away.
package enum Spool {
    /// Stores a message; the same message id a second time adds nothing while the first is here.
    ///
    /// - Throws: `PostgresError`.
    package static func insert(_ message: OutgoingMessage, in transaction: Transaction) async throws {
        _ = try await transaction.query(insertion(message))
    }

    /// Stores a message in a transaction of its own.
    package static func insert(_ message: OutgoingMessage, on pool: PostgresPool) async throws {
        _ = try await pool.query(insertion(message))
    }

    private static func insertion(_ message: OutgoingMessage) -> SQL {
        let envelope = message.envelope
        return """
            insert into spool (message_id, exchange, routing_key, type, correlation_id, received_at, content_type,
                schema_version, trace_parent, signature, body)
            values (\(envelope.id), \(message.exchange.rawValue), \(message.routingKey), \(envelope.type.rawValue),
                \(envelope.correlationID), \(envelope.receivedAt), \(envelope.contentType), \(envelope.schemaVersion),
                \(envelope.traceParent as String?), \(envelope.signature?.rawValue as String?), \(envelope.body))
            on conflict on constraint spool_message_once do nothing
            """
    }

    /// Takes the right to drain until the transaction ends; without waiting.
    ///
    /// - Returns: false if another relay has it.
    package static func lock(in transaction: Transaction) async throws -> Bool {
        // Advisory locks are numbers; this one is "spool" in ASCII.
        let rows = try await transaction.query("select pg_try_advisory_xact_lock(495807590252) as locked")
        return try rows[0].decode("locked")
    }

    /// The oldest messages, in the order they were accepted.
    package static func oldest(limit: Int, in transaction: Transaction) async throws -> [StoredMessage] {
        let rows = try await transaction.query(
            """
            select id, message_id, exchange, routing_key, type, correlation_id, received_at, content_type,
                schema_version, trace_parent, signature, body, created_at
            from spool order by id limit \(limit)
            """)
        return try rows.map { row in
            StoredMessage(
                id: try row.decode("id"), exchange: try row.decode("exchange"),
                routingKey: try row.decode("routing_key"),
                envelope: Envelope(
                    id: try row.decode("message_id"), type: MessageType(rawValue: try row.decode("type")),
                    correlationID: try row.decode("correlation_id", as: String.self),
                    timestamp: try row.decode("created_at"), receivedAt: try row.decode("received_at", as: Date.self),
                    contentType: try row.decode("content_type"), schemaVersion: try row.decode("schema_version"),
                    traceParent: try row.decode("trace_parent", as: String?.self),
                    signature: try row.decode("signature", as: String?.self).flatMap(
                        Envelope.SignatureMark.init(rawValue:)),
                    body: try row.decode("body")))
        }
    }

    /// Forgets messages that the broker has confirmed.
    package static func delete(_ ids: [Int], in transaction: Transaction) async throws {
        guard !ids.isEmpty else { return }
        _ = try await transaction.query("delete from spool where id = any(\(ids))")
    }

    /// What is not yet published.
    package static func backlog(_ pool: PostgresPool) async throws -> Backlog {
        let rows = try await pool.query(
            "select count(*) as count, extract(epoch from now() - min(created_at))::float8 as lag from spool")
        return try Backlog(rows[0])
    }
}
