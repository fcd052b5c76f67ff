package import Domain
package import Foundation
import Messaging
package import Postgres

extension Operations {
    /// The operation that an idempotency key stands for, if there is one. Until the transaction ends, nobody else who asks
    /// for it gets an answer, so of two equal requests at once the second finds what the first has done.
    ///
    /// - Throws: `PostgresError`.
    package static func claim(_ id: OperationID, in transaction: Transaction) async throws -> Operation? {
        _ = try await transaction.query("select pg_advisory_xact_lock(hashtextextended(\(id.rawValue)::text, 0))")
        return try await transaction.query("select \(columns) from operations where id = \(id.rawValue)").first
            .map(decode)
    }

    /// Records an operation that is done in this transaction, as work without a message is.
    ///
    /// - Throws: `PostgresError`.
    package static func insertFinished(
        _ operation: Operation, with result: OperationResult, at instant: Date, in transaction: Transaction
    ) async throws {
        _ = try await transaction.query(
            """
            insert into operations
                (id, principal, route, idempotency_key, request_hash, message_id, created_at, status, http_status,
                 outcome, subject_id, finished_at)
            values (\(operation.id.rawValue), \(operation.principal), \(operation.route), \(operation.idempotencyKey),
                \(operation.requestHash), \(operation.messageID), \(operation.createdAt), 'succeeded',
                \(result.httpStatus), \(JSONText(String(decoding: result.body, as: UTF8.self))), \(result.subjectID),
                \(instant))
            """)
    }
}
