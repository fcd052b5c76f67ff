package import Domain
package import Foundation
import Messaging
package import Postgres

/// What became of a request to the API. The row is the record of its idempotency key as well.
package struct Operation: Hashable, Sendable {
    package var id: OperationID
    /// Who asked: the API key's or user's id.
    package var principal: String
    /// Method and route, such as `POST /v1/jobs`.
    package var route: String
    package var idempotencyKey: String
    /// Digest of the request, to tell a repetition from another request under the same key.
    package var requestHash: String
    package var status: Status
    /// The answer's HTTP status, once there is one.
    package var httpStatus: Int?
    /// The answer's body as JSON, once there is one.
    package var outcome: [UInt8]?
    /// What it is about, such as a job's id, once that is known.
    package var subjectID: String?
    /// The command that it became.
    package var messageID: String
    package var createdAt: Date
    package var finishedAt: Date?

    package enum Status: String, Codable, Sendable {
        case pending, succeeded, failed
    }

    /// A new operation, not yet finished.
    package init(
        id: OperationID, principal: String, route: String, idempotencyKey: String, requestHash: String,
        messageID: String, createdAt: Date
    ) {
        self.id = id
        self.principal = principal
        self.route = route
        self.idempotencyKey = idempotencyKey
        self.requestHash = requestHash
        self.messageID = messageID
        self.createdAt = createdAt
        status = .pending
    }
}

/// How an operation ended.
package struct OperationResult: Hashable, Sendable {
    package var httpStatus: Int
    /// JSON: the thing itself, or the problem.
    package var body: [UInt8]
    package var subjectID: String?

    /// - Parameter httpStatus: below 400 the operation succeeded.
    package init(httpStatus: Int, body: [UInt8], subjectID: String? = nil) {
        self.httpStatus = httpStatus
        self.body = body
        self.subjectID = subjectID
    }

    /// The answer is `value`, as JSON.
    package init(httpStatus: Int, value: some Encodable, subjectID: String? = nil) throws {
        self.init(httpStatus: httpStatus, body: try WireJSON.encode(value), subjectID: subjectID)
    }

    /// The request cannot be met.
    package init(_ problem: Problem, subjectID: String? = nil) throws {
        try self.init(httpStatus: problem.status, value: problem, subjectID: subjectID)
    }
}

/// The table of operations.
package enum Operations {
    /// The channel on which the id of an operation is notified when it finishes (at commit).
    package static let finishedChannel = "operation_finished"

    /// Adds a pending operation, unless its principal has used the key on the route before.
    ///
    /// While another transaction inserts the same key this waits for its end, so of two equal requests at the same time
    /// exactly one is new.
    /// - Returns: nil if it is new, otherwise the operation that has the key; compare its `requestHash`.
    /// - Throws: `PostgresError`.
    package static func insertPending(_ operation: Operation, in pool: PostgresPool) async throws -> Operation? {
        // Any conflict will do: the id follows from the key, and of two inserts at once either index may object first.
        let inserted = try await pool.query(
            """
            insert into operations (id, principal, route, idempotency_key, request_hash, message_id, created_at)
            values (\(operation.id.rawValue), \(operation.principal), \(operation.route), \(operation.idempotencyKey),
                \(operation.requestHash), \(operation.messageID), \(operation.createdAt))
            on conflict do nothing returning id
            """)
        if !inserted.isEmpty { return nil }
        let found = try await pool.query(
            """
            select \(columns) from operations where principal = \(operation.principal)
                and route = \(operation.route) and idempotency_key = \(operation.idempotencyKey)
            """)
        // Operations are not deleted while their key counts, so the row that was in the way is here.
        return try found.first.map(decode)
    }

    /// - Throws: `PostgresError`.
    package static func find(_ id: OperationID, in pool: PostgresPool) async throws -> Operation? {
        try await pool.query("select \(columns) from operations where id = \(id.rawValue)").first.map(decode)
    }

    /// Writes the result of a pending operation and, at commit, wakes those who wait for it.
    ///
    /// An operation that is finished keeps its first result, unless that was the command's death: a replay has carried the
    /// command out then. One that is missing is not made up.
    /// - Throws: `PostgresError`.
    package static func finish(
        _ id: OperationID, with result: OperationResult, at now: Date, in transaction: Transaction
    ) async throws {
        let status: Operation.Status = result.httpStatus < 400 ? .succeeded : .failed
        try await transaction.enqueue(
            """
            with finished as (
                update operations set status = \(status.rawValue), http_status = \(result.httpStatus),
                    outcome = \(JSONText(String(decoding: result.body, as: UTF8.self))),
                    subject_id = \(result.subjectID), finished_at = \(now), dead_letter = null
                where id = \(id.rawValue) and (status = 'pending' or dead_letter is not null) returning id
            )
            select pg_notify(\(finishedChannel), id) from finished
            """)
    }

    /// Ends the operation of a command that has become a dead letter, if it is one, and wakes those who wait for it.
    ///
    /// An operation with a result keeps it: another copy of the command was carried out.
    static func death(of letter: DeadLetter) throws -> SQL {
        let problem = Problem(
            type: "internal-error", title: "The request could not be carried out", status: 500,
            detail: """
                It rests as dead letter \(letter.id), which operators can repair and replay; if that succeeds, this \
                operation shows it. To ask again, use a new Idempotency-Key.
                """)
        return """
            with finished as (
                update operations o set status = 'failed', http_status = \(problem.status),
                    outcome = \(JSONText(String(decoding: try WireJSON.encode(problem), as: UTF8.self))),
                    finished_at = \(letter.diedAt), dead_letter = l.id
                from dead_letters l
                where o.message_id = \(letter.messageID) and l.death_key = \(letter.deathKey)
                    and (o.status = 'pending' or o.dead_letter is not null) returning o.id
            )
            select pg_notify(\(finishedChannel), id) from finished
            """
    }

    static let columns: SQL = """
        id, principal, route, idempotency_key, request_hash, status, http_status, outcome, subject_id, message_id,
        created_at, finished_at
        """

    static func decode(_ row: Row) throws -> Operation {
        var operation = Operation(
            id: try row.decodeRaw("id"), principal: try row.decode("principal"), route: try row.decode("route"),
            idempotencyKey: try row.decode("idempotency_key"), requestHash: try row.decode("request_hash"),
            messageID: try row.decode("message_id"), createdAt: try row.decode("created_at"))
        operation.status = try row.decodeRaw("status")
        operation.httpStatus = try row.decode("http_status")
        operation.outcome = try row.decode("outcome", as: String?.self).map { Array($0.utf8) }
        operation.subjectID = try row.decode("subject_id")
        operation.finishedAt = try row.decode("finished_at")
        return operation
    }
}
