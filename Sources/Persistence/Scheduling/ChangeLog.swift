package import Domain
import Messaging
package import Postgres

/// One change of a job or a consultation: who, what before, what after, and why.
package struct Change: Sendable {
    package var subject: Subject
    package var type: ChangeType
    /// JSON; nil for what was not there before.
    package var before: [UInt8]?
    package var after: [UInt8]?
    package var actor: String
    package var source: ChangeSource
    package var reason: String?
    package var requestID: String?

    package init(
        subject: Subject, type: ChangeType, before: (some Encodable)?, after: (some Encodable)?, actor: String,
        source: ChangeSource, reason: String? = nil, requestID: String? = nil
    ) throws {
        self.subject = subject
        self.type = type
        self.before = try before.map { try WireJSON.encode($0) }
        self.after = try after.map { try WireJSON.encode($0) }
        self.actor = actor
        self.source = source
        self.reason = reason
        self.requestID = requestID
    }
}

/// The append-only record of changes. The database refuses to update, delete or truncate it.
package enum ChangeLog {
    /// Adds an entry to the caller's transaction.
    package static func append(_ change: Change, in transaction: Transaction) async throws {
        func json(_ bytes: [UInt8]?) -> JSONText? {
            bytes.map { JSONText(String(decoding: $0, as: UTF8.self)) }
        }
        _ = try await transaction.query(
            """
            insert into change_log (subject_kind, subject_id, change_type, before, after, actor, source, reason, request_id)
            values (\(change.subject.kind.rawValue), \(change.subject.id), \(change.type.rawValue),
                \(json(change.before)), \(json(change.after)), \(change.actor), \(change.source.rawValue),
                \(change.reason), \(change.requestID))
            """)
    }
}
