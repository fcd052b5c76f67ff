package import Domain
package import Foundation
import Messaging
package import Postgres
import Traces

/// One line of the change log: who changed what, from what to what, why, and on whose word.
package struct ChangeLogEntry: Sendable {
    /// What was changed.
    package enum Subject: Hashable, Sendable {
        case consultation(ConsultationID)
        case job(JobID)
        /// What people configure, such as a crew or the business hours.
        case configuration(kind: String, id: String)

        /// As in the column `subject_kind`.
        package var kind: String {
            switch self {
            case .consultation: "consultation"
            case .job: "job"
            case .configuration(let kind, _): kind
            }
        }

        package var id: String {
            switch self {
            case .consultation(let id): id.rawValue
            case .job(let id): id.rawValue
            case .configuration(_, let id): id
            }
        }
    }

    package var at: Date
    package var subject: Subject
    package var change: ChangeType
    /// JSON of what was, as far as it changed; nil for something new.
    package var before: JSONText?
    /// JSON of what is now.
    package var after: JSONText?
    /// A person's or key's name, or the part of the system that did it.
    package var actor: String
    package var source: ChangeSource
    package var reason: String?
    /// The API request or the message that asked for the change.
    package var requestID: String?
    /// Common to everything that one outside event has led to.
    package var correlationID: String?

    package init(
        at: Date, subject: Subject, change: ChangeType, before: JSONText? = nil, after: JSONText? = nil,
        actor: String, source: ChangeSource, reason: String? = nil, requestID: String? = nil,
        correlationID: String? = nil
    ) {
        self.at = at
        self.subject = subject
        self.change = change
        self.before = before
        self.after = after
        self.actor = actor
        self.source = source
        self.reason = reason
        self.requestID = requestID
        self.correlationID = correlationID
    }

    /// A value as it goes into `before` and `after`, in the form of all our JSON.
    package static func json(_ value: some Encodable) throws -> JSONText {
        JSONText(String(decoding: try WireJSON.encode(value), as: UTF8.self))
    }
}

/// The record of every change to consultations, jobs and what people configure. The database refuses to change or delete what is in it.
package enum ChangeLog {
    /// Adds an entry to the transaction of the change that it tells of, with its next statement or its commit.
    ///
    /// - Throws: `PostgresError`.
    package static func append(_ entry: ChangeLogEntry, in transaction: Transaction) async throws {
        try await transaction.enqueue(insertion(of: entry))
    }

    /// The statement by itself, to be sent in a pipeline with the change.
    package static func insertion(of entry: ChangeLogEntry) -> SQL {
        """
        insert into change_log
            (at, subject_kind, subject_id, change_type, before, after, actor, source, reason, request_id, correlation_id,
             trace_id)
        values
            (\(entry.at), \(entry.subject.kind), \(entry.subject.id), \(entry.change.rawValue), \(entry.before),
             \(entry.after), \(entry.actor), \(entry.source.rawValue), \(entry.reason), \(entry.requestID),
             \(entry.correlationID), \(TraceContext.current?.traceID.description))
        """
    }
}
