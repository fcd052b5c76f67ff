package import Domain
package import Foundation
package import Postgres

/// Which consultations a list shows.
package struct ConsultationFilter: Hashable, Sendable {
    /// Empty shows all states.
    package var states: Set<ConsultationState>
    /// Empty shows all.
    package var assignments: Set<AssignmentState>
    /// Consultations that start at this instant or later.
    package var from: Date?
    /// Consultations that start before this instant.
    package var to: Date?
    package var assignee: ResourceID?

    package init(
        states: Set<ConsultationState> = [], assignments: Set<AssignmentState> = [], from: Date? = nil,
        to: Date? = nil, assignee: ResourceID? = nil
    ) {
        self.states = states
        self.assignments = assignments
        self.from = from
        self.to = to
        self.assignee = assignee
    }
}

/// Reads of consultations. One that was merged into another is found by its id, and is in no list.
package struct ConsultationReads: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// - Throws: `PostgresError`.
    package func find(_ id: ConsultationID) async throws -> ConsultationView? {
        try await pool.query(Self.view(where: "c.id = \(id.rawValue)")).first.map(Self.decode)
    }

    /// Consultations by start and id.
    ///
    /// - Parameters:
    ///   - cursor: where the page before ended; nil begins.
    ///   - limit: at most so many, 1 to 200; others are brought into that range.
    /// - Throws: `PostgresError`.
    package func list(
        _ filter: ConsultationFilter, cursor: PageCursor? = nil, limit: Int = 50
    ) async throws -> Page<ConsultationView> {
        var query = PagedQuery(
            "c", where: "c.merged_into is null", from: filter.from, to: filter.to, cursor: cursor, limit: limit)
        query.keep("state", in: filter.states)
        query.keep("assignment", in: filter.assignments)
        query.keep("assignee", of: filter.assignee)
        return try await query.page(in: pool, view: Self.view, decode: Self.decode, cursor: \.pageCursor)
    }

    private static func view(where condition: SQL) -> SQL {
        """
        select c.id, c.kind, c.state, c.version, c.sequence, c.customer_name, c.customer_email, c.customer_phone,
            c.starts_at, c.ends_at, c.time_zone, c.address, c.answers, c.assignment, c.assignee,
            c.assignment_reasons, c.assignment_alternatives, c.created_at, c.updated_at, r.name as assignee_name
        from consultations c left join resources r on r.id = c.assignee
        where \(condition)
        """
    }

    private static func decode(_ row: Row) throws -> ConsultationView {
        let assignee = try row.decodeRawIfPresent("assignee", as: ResourceID.self)
        return ConsultationView(
            id: try row.decodeRaw("id"), kind: try row.decodeRaw("kind"), state: try row.decodeRaw("state"),
            version: try row.decode("version"), sequence: try row.decode("sequence"),
            customer: try Person(row: row),
            startsAt: try row.decode("starts_at"), endsAt: try row.decode("ends_at"),
            timeZone: try row.decode("time_zone"), address: try row.decode("address"),
            answers: try row.decodeJSON("answers"), assignment: try row.decodeRaw("assignment"),
            assignee: try assignee.map { ResourceName(id: $0, name: try row.decode("assignee_name")) },
            reasons: try row.decodeJSON("assignment_reasons"),
            alternatives: try row.decodeJSON("assignment_alternatives"),
            createdAt: try row.decode("created_at"), updatedAt: try row.decode("updated_at"))
    }
}

extension ConsultationView {
    /// Where a list goes on after this consultation.
    package var pageCursor: PageCursor { PageCursor(startsAt: startsAt, id: id.rawValue) }
}
