import Domain
package import Foundation
package import Postgres

/// Something that concerns access, as it goes into the record.
package struct AccessEvent: Hashable, Sendable {
    package enum Act: String, Codable, CaseIterable, Sendable {
        case beginSession = "session.begin"
        /// A log-in with a wrong password, of a user who is disabled, or of nobody.
        case refuseSession = "session.refuse"
        /// A log-out.
        case endSession = "session.end"
        /// One of a user's other sessions.
        case revokeSession = "session.revoke"
        case createUser = "user.create"
        case changeUser = "user.change"
        case setPassword = "user.set_password"
        /// The first administrator.
        case bootstrap = "user.bootstrap"
        case makeBootstrapToken = "user.make_bootstrap_token"
        case createKey = "key.create"
        case revokeKey = "key.revoke"
        /// A request whose caller is known and lacks the right.
        case refusePermission = "permission.refuse"
        /// A request with a session's cookie that another site may have had sent.
        case refuseCrossSite = "cross_site.refuse"
    }

    package var act: Act
    package var actor: AccessActor
    /// The id of what it is about.
    package var subject: String?
    /// What else is worth knowing. Never holds passwords, tokens or their digests.
    package var details: [String: String]

    package init(_ act: Act, by actor: AccessActor, subject: String? = nil, details: [String: String] = [:]) {
        self.act = act
        self.actor = actor
        self.subject = subject
        self.details = details
    }
}

/// A row of the record.
package struct AccessLogEntry: Hashable, Sendable {
    /// Rises; numbers of acts that were undone are missing.
    package var id: Int
    package var at: Date
    package var event: AccessEvent
}

/// The record of log-ins, changes of users and keys, and refusals. Rows are only added; the database refuses anything else.
package enum AccessLog {
    /// Adds an event to the transaction that does it.
    ///
    /// - Throws: `PostgresError`.
    package static func append(_ event: AccessEvent, at now: Date, in transaction: Transaction) async throws {
        _ = try await transaction.query(insertion(event, at: now))
    }

    /// Adds an event that changes nothing else.
    ///
    /// - Throws: `PostgresError`.
    package static func append(_ event: AccessEvent, at now: Date, on pool: PostgresPool) async throws {
        _ = try await pool.query(insertion(event, at: now))
    }

    private static func insertion(_ event: AccessEvent, at now: Date) throws -> SQL {
        """
        insert into access_log (at, act, actor, actor_id, subject, details, address, request_id)
        values (\(now), \(event.act.rawValue), \(event.actor.name), \(event.actor.id), \(event.subject),
            \(try JSONText(wire: event.details)), \(event.actor.address), \(event.actor.requestID))
        """
    }

    /// Which entries to list; nil filters nothing.
    package struct Filter: Hashable, Sendable {
        package var acts: Set<AccessEvent.Act>
        /// The id of the user or key that acted.
        package var actorID: String?
        package var subject: String?

        package init(acts: Set<AccessEvent.Act> = [], actorID: String? = nil, subject: String? = nil) {
            self.acts = acts
            self.actorID = actorID
            self.subject = subject
        }
    }

    /// Entries that match, the youngest first.
    ///
    /// - Parameters:
    ///   - id: only entries before this one.
    ///   - limit: 1 to 500.
    /// - Throws: `PostgresError`.
    package static func list(
        _ filter: Filter = Filter(), before id: Int? = nil, limit: Int = 50, on pool: PostgresPool
    ) async throws -> [AccessLogEntry] {
        var query: SQL = """
            select id, at, act, actor, actor_id, subject, details::text as details, address, request_id
            from access_log where true
            """
        if !filter.acts.isEmpty { query += " and act = any(\(filter.acts.map(\.rawValue).sorted()))" }
        if let actor = filter.actorID { query += " and actor_id = \(actor)" }
        if let subject = filter.subject { query += " and subject = \(subject)" }
        if let id { query += " and id < \(id)" }
        query += " order by id desc limit \(min(max(limit, 1), 500))"
        return try await pool.query(query).map { row in
            AccessLogEntry(
                id: try row.decode("id"), at: try row.decode("at"),
                event: AccessEvent(
                    try row.decodeRaw("act"),
                    by: AccessActor(
                        name: try row.decode("actor", as: String?.self),
                        id: try row.decode("actor_id", as: String?.self),
                        address: try row.decode("address", as: String?.self),
                        requestID: try row.decode("request_id", as: String?.self)),
                    subject: try row.decode("subject", as: String?.self), details: try row.decodeJSON("details")))
        }
    }
}
