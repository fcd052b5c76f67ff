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
        var query = PagedQuery("j", from: filter.from, to: filter.to, cursor: cursor, limit: limit)
        query.keep("state", in: filter.states)
        query.keep("crew", of: filter.crew)
        return try await query.page(
            in: pool, view: JobRows.view, decode: JobRows.decodeView, cursor: \.pageCursor)
    }
}

extension JobView {
    /// Where a list goes on after this job.
    package var pageCursor: PageCursor { PageCursor(startsAt: startsAt, id: id.rawValue) }
}
