package import Domain
package import Foundation
package import Postgres

/// Which jobs a list shows.
package struct JobFilter: Hashable, Sendable {
    /// Empty shows all states.
    package var states: Set<JobState>
    /// Jobs that start at this instant or later.
    package var from: Date?
    /// Jobs that start before this instant.
    package var to: Date?
    package var crew: ResourceID?

    package init(states: Set<JobState> = [], from: Date? = nil, to: Date? = nil, crew: ResourceID? = nil) {
        self.states = states
        self.from = from
        self.to = to
        self.crew = crew
    }
}

/// Reads of jobs.
package struct JobRepository: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// - Throws: `PostgresError`.
    package func find(_ id: JobID) async throws -> JobView? {
        try await pool.query(JobRows.view(where: "j.id = \(id.rawValue)")).first.map(JobRows.decodeView)
    }

    /// Jobs by start and id.
    ///
    /// - Parameters:
    ///   - cursor: where the page before ended; nil begins.
    ///   - limit: at most so many jobs, 1 to 200; others are brought into that range.
    /// - Throws: `PostgresError`.
    package func list(_ filter: JobFilter, cursor: PageCursor? = nil, limit: Int = 50) async throws -> Page<JobView> {
        var condition: SQL = "true"
        if !filter.states.isEmpty {
            condition += " and j.state = any(\(filter.states.map(\.rawValue).sorted())::text[])"
        }
        if let from = filter.from { condition += " and j.starts_at >= \(from)" }
        if let to = filter.to { condition += " and j.starts_at < \(to)" }
        if let crew = filter.crew { condition += " and j.crew = \(crew.rawValue)" }
        if let cursor { condition += " and (j.starts_at, j.id) > (\(cursor.startsAt), \(cursor.id))" }
        let limit = min(max(limit, 1), 200)
        let rows = try await pool.query(
            JobRows.view(where: condition) + " order by j.starts_at, j.id limit \(limit + 1)")
        let jobs = try rows.map(JobRows.decodeView)
        return Page(
            items: Array(jobs.prefix(limit)),
            next: jobs.count > limit
                ? jobs[limit - 1].pageCursor : nil)
    }
}

extension JobView {
    /// Where a list goes on after this job.
    package var pageCursor: PageCursor { PageCursor(startsAt: startsAt, id: id.rawValue) }
}
