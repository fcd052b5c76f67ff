package import Domain
package import Persistence
package import Postgres

/// The schedule as it is in the database.
package struct StoredSchedule: ScheduleReads {
    private let jobRepository: JobRepository
    private let consultationReads: ConsultationReads

    package init(pool: PostgresPool) {
        jobRepository = JobRepository(pool: pool)
        consultationReads = ConsultationReads(pool: pool)
    }

    package func job(_ id: JobID) async throws -> JobView? {
        try await jobRepository.find(id)
    }

    package func jobs(_ filter: JobFilter, cursor: PageCursor?, limit: Int) async throws -> Page<JobView> {
        try await jobRepository.list(filter, cursor: cursor, limit: limit)
    }

    package func consultation(_ id: ConsultationID) async throws -> ConsultationView? {
        try await consultationReads.find(id)
    }

    package func consultations(
        _ filter: ConsultationFilter, cursor: PageCursor?, limit: Int
    ) async throws -> Page<ConsultationView> {
        try await consultationReads.list(filter, cursor: cursor, limit: limit)
    }
}
