package import Domain
package import Persistence

/// What the API shows of the schedule.
package protocol ScheduleReads: Sendable {
    func job(_ id: JobID) async throws -> JobView?
    func jobs(_ filter: JobFilter, cursor: PageCursor?, limit: Int) async throws -> Page<JobView>
    func consultation(_ id: ConsultationID) async throws -> ConsultationView?
    func consultations(
        _ filter: ConsultationFilter, cursor: PageCursor?, limit: Int
    ) async throws -> Page<ConsultationView>
}
