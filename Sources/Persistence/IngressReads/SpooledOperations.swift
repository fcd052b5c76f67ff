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
        let isNew = try await pool.withTransaction { transaction in
            let inserted = try await transaction.query(
                """
                insert into operations (id, principal, route, idempotency_key, request_hash, message_id, created_at)
                values (\(operation.id.rawValue), \(operation.principal), \(operation.route),
                    \(operation.idempotencyKey), \(operation.requestHash), \(operation.messageID),
                    \(operation.createdAt))
                on conflict do nothing returning id
                """)
            if inserted.isEmpty {
                let pending = try await transaction.query(
                    """
                    select id from operations where id = \(operation.id.rawValue) and status = 'pending'
                        and request_hash = \(operation.requestHash)
                    """)
                guard !pending.isEmpty else { return false }
            }
            try await Spool.insert(message, in: transaction)
            return !inserted.isEmpty
        }
        return isNew ? nil : try await Operations.find(operation.id, in: pool)
    }

    /// Adds a message to the spool; the same message id a second time adds nothing.
    ///
    /// - Throws: `PostgresError`.
    package static func spool(_ message: OutgoingMessage, in pool: PostgresPool) async throws {
        try await Spool.insert(message, on: pool)
    }
}
