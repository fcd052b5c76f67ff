import Domain
package import Messaging
package import Postgres

/// Operations whose command cannot be published now.
package enum SpooledOperations {
    /// Records an operation together with its command: both are stored or neither is.
    ///
    /// An operation that is there and pending has its command stored as well, since nothing tells whether that was ever
    /// published; consumers drop a second copy. One that is finished, or is for another request, stores nothing.
    /// - Returns: nil if it is new, otherwise the operation that was there.
    /// - Throws: `PostgresError`.
    package static func begin(
        _ operation: Operation, spooling message: OutgoingMessage, in pool: PostgresPool
    ) async throws -> Operation? {
        if let earlier = try await Operations.find(operation.id, in: pool),
            earlier.status != .pending || earlier.requestHash != operation.requestHash
        {
            return earlier
        }
        let results = try await pool.pipeline([
            """
            insert into operations (id, principal, route, idempotency_key, request_hash, message_id, created_at)
            values (\(operation.id.rawValue), \(operation.principal), \(operation.route), \(operation.idempotencyKey),
                \(operation.requestHash), \(operation.messageID), \(operation.createdAt))
            on conflict on constraint operations_idempotency_once do nothing returning id
            """,
            insert(message, ifPending: operation.id, requestHash: operation.requestHash),
        ])
        return results[0].isEmpty ? try await Operations.find(operation.id, in: pool) : nil
    }

    /// Adds a message to the spool; the same message id a second time adds nothing.
    ///
    /// - Throws: `PostgresError`.
    package static func spool(_ message: OutgoingMessage, in pool: PostgresPool) async throws {
        _ = try await pool.query(insert(message, where: "true"))
    }

    private static func insert(_ message: OutgoingMessage, ifPending id: OperationID, requestHash: String) -> SQL {
        insert(
            message,
            where: """
                exists (select from operations where id = \(id.rawValue) and status = 'pending'
                    and request_hash = \(requestHash))
                """)
    }

    private static func insert(_ message: OutgoingMessage, where condition: SQL) -> SQL {
        let envelope = message.envelope
        return """
            insert into spool (message_id, exchange, routing_key, type, correlation_id, received_at, content_type,
                trace_parent, signature, body)
            select \(envelope.id), \(message.exchange.rawValue), \(message.routingKey), \(envelope.type.rawValue),
                \(envelope.correlationID), \(envelope.receivedAt), \(envelope.contentType), \(envelope.traceParent),
                \(envelope.signature?.rawValue), \(envelope.body)
            where \(condition)
            on conflict on constraint spool_message_once do nothing
            """
    }
}
