package import Domain
package import Foundation
import Messaging
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
        var condition: SQL = "c.merged_into is null"
        if !filter.states.isEmpty {
            condition += " and c.state = any(\(filter.states.map(\.rawValue).sorted())::text[])"
        }
        if !filter.assignments.isEmpty {
            condition += " and c.assignment = any(\(filter.assignments.map(\.rawValue).sorted())::text[])"
        }
        if let from = filter.from { condition += " and c.starts_at >= \(from)" }
        if let to = filter.to { condition += " and c.starts_at < \(to)" }
        if let assignee = filter.assignee { condition += " and c.assignee = \(assignee.rawValue)" }
        if let cursor { condition += " and (c.starts_at, c.id) > (\(cursor.startsAt), \(cursor.id))" }
        let limit = min(max(limit, 1), 200)
        let rows = try await pool.query(
            Self.view(where: condition) + " order by c.starts_at, c.id limit \(limit + 1)")
        let items = try rows.map(Self.decode)
        return Page(
            items: Array(items.prefix(limit)),
            next: items.count > limit
                ? PageCursor(startsAt: items[limit - 1].startsAt, id: items[limit - 1].id.rawValue) : nil)
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
        func json<Value: Decodable>(_ column: String, as type: Value.Type) throws -> Value {
            try WireJSON.decode(type, from: row.decode(column, as: String.self).utf8)
        }
        let assignee = try row.decodeRawIfPresent("assignee", as: ResourceID.self)
        return ConsultationView(
            id: try row.decodeRaw("id"), kind: try row.decodeRaw("kind"), state: try row.decodeRaw("state"),
            version: try row.decode("version"), sequence: try row.decode("sequence"),
            customer: Person(
                name: try row.decode("customer_name"), email: try row.decode("customer_email"),
                phone: try row.decode("customer_phone")),
            startsAt: try row.decode("starts_at"), endsAt: try row.decode("ends_at"),
            timeZone: try row.decode("time_zone"), address: try row.decode("address"),
            answers: try json("answers", as: [String: String].self), assignment: try row.decodeRaw("assignment"),
            assignee: try assignee.map { ResourceName(id: $0, name: try row.decode("assignee_name")) },
            reasons: try json("assignment_reasons", as: [String].self),
            alternatives: try json("assignment_alternatives", as: [Alternative].self),
            createdAt: try row.decode("created_at"), updatedAt: try row.decode("updated_at"))
    }
}
