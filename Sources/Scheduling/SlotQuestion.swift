package import Domain
package import Foundation
import Persistence
package import Postgres

/// What somebody asks who would like to know a time before they book one.
package struct SlotQuestion: Sendable {
    package enum Visit: Hashable, Sendable {
        /// Code of a service type.
        case job(service: String, priority: Priority)
        case consultation(ConsultationKind)
    }

    package var visit: Visit
    package var timeZone: String
    /// Nil takes the default of the service or the consultation type.
    package var durationMinutes: Int?
    /// Only this crew or estimator will do.
    package var lead: ResourceID?
    /// A job that has a time already: what it holds does not stand in its way.
    package var job: JobID?
    /// Where the zone stands in the request.
    package var timeZonePointer: String

    package init(
        visit: Visit, timeZone: String, durationMinutes: Int? = nil, lead: ResourceID? = nil, job: JobID? = nil,
        timeZonePointer: String
    ) {
        self.visit = visit
        self.timeZone = timeZone
        self.durationMinutes = durationMinutes
        self.lead = lead
        self.job = job
        self.timeZonePointer = timeZonePointer
    }

    /// Looks the rules up.
    ///
    /// - Throws: `Problem.validation` with what does not fit.
    package func search(now: Date, in transaction: Transaction) async throws -> SlotSearch {
        switch visit {
        case .job(let service, let priority):
            let plan = try await JobPlan.make(
                JobPlan.Wish(
                    service: service, priority: priority, timeZone: timeZone, durationMinutes: durationMinutes,
                    crew: lead, timeZonePointer: timeZonePointer),
                now: now, in: transaction)
            return SlotSearch(
                finder: plan.finder,
                // A new job holds nothing yet, and nothing is called this.
                requirements: Requirements(
                    subject: job.map { .job($0) } ?? .appointment(""), leadKind: .crew, demands: plan.service.demands,
                    equipmentTypes: plan.service.equipmentTypes, requestedLead: lead),
                bookable: Interval(
                    start: now - JobPlan.lateness, end: now + Double(JobPlan.horizonDays) * 86_400))
        case .consultation(let kind):
            return try await consultation(kind, now: now, in: transaction)
        }
    }

    private func consultation(
        _ kind: ConsultationKind, now: Date, in transaction: Transaction
    ) async throws -> SlotSearch {
        var errors: [Problem.FieldError] = []
        let clock = SiteClock(identifier: timeZone)
        if clock == nil {
            errors.append(
                .init(
                    pointer: timeZonePointer, code: "unknown_time_zone",
                    detail: "Use an IANA name such as America/New_York."))
        }
        if let lead, try await Resources.find(lead, in: transaction)?.kind != .estimator {
            errors.append(
                .init(pointer: "/crew", code: "unknown_estimator", detail: "There is no estimator with this id."))
        }
        guard let type = try await BookingRules.consultationType(kind, in: transaction) else {
            throw Problem.notFound("consultation type")
        }
        guard let clock, errors.isEmpty else { throw Problem.validation(errors) }
        var footprint = type.footprint
        footprint.workMinutes = durationMinutes ?? footprint.workMinutes
        let from = now + Double(type.noticeMinutes) * 60
        return SlotSearch(
            finder: SlotFinder(
                calendar: try await BookingRules.calendar(for: clock, in: transaction), isAnyHour: type.isAnyHour,
                footprint: footprint),
            requirements: Requirements(
                subject: .appointment(""), leadKind: .estimator, requestedLead: lead),
            bookable: Interval(start: from, end: max(from, now + Double(type.horizonDays) * 86_400)))
    }
}
