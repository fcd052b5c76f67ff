package import Domain
package import Foundation
package import Messaging

/// Where requests to do something are recorded, together with their outcome.
package protocol OperationStore: Sendable {
    /// Records an operation unless one with its principal, route and idempotency key is there already.
    ///
    /// - Parameter message: stored in the spool in the same transaction, whether the operation is new or was pending.
    /// - Returns: the stored operation, and whether this call made it.
    func begin(_ new: NewOperation, spooling message: OutgoingMessage?) async throws -> (stored: Operation, isNew: Bool)
    func find(_ id: OperationID) async throws -> Operation?
    /// Ids of operations as they finish, until the task is cancelled. It may miss some: callers look for themselves from
    /// time to time.
    func finished() async throws -> AsyncStream<OperationID>
}

/// An operation about to be recorded.
package struct NewOperation: Hashable, Sendable {
    package var id: OperationID
    /// The API key's id.
    package var principal: String
    /// Method and path, with the ids in it.
    package var route: String
    package var idempotencyKey: String
    /// Digest of what was asked for, in hexadecimal.
    package var requestHash: String
    package var messageID: String

    package init(
        id: OperationID, principal: String, route: String, idempotencyKey: String, requestHash: String,
        messageID: String
    ) {
        self.id = id
        self.principal = principal
        self.route = route
        self.idempotencyKey = idempotencyKey
        self.requestHash = requestHash
        self.messageID = messageID
    }
}

/// What became of a request to do something.
package struct Operation: Hashable, Sendable {
    package enum Status: String, Codable, Sendable {
        case pending, succeeded, failed
    }

    package var id: OperationID
    package var requestHash: String
    package var status: Status
    /// Of the answer; nil while pending.
    package var httpStatus: Int?
    /// JSON: the thing as it is now, or the `Problem`. Nil while pending.
    package var outcome: [UInt8]?
    package var subject: String?
    package var createdAt: Date
    package var finishedAt: Date?

    package init(
        id: OperationID, requestHash: String, status: Status = .pending, httpStatus: Int? = nil,
        outcome: [UInt8]? = nil, subject: String? = nil, createdAt: Date, finishedAt: Date? = nil
    ) {
        self.id = id
        self.requestHash = requestHash
        self.status = status
        self.httpStatus = httpStatus
        self.outcome = outcome
        self.subject = subject
        self.createdAt = createdAt
        self.finishedAt = finishedAt
    }
}
