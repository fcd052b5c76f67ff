import Domain
import Foundation
import Persistence
import Scheduling

/// The query of `GET /v1/availability`, read and checked.
struct AvailabilityQuery: Sendable {
    var question: SlotQuestion
    var window: Interval
    var limit: Int

    /// - Throws: `ProblemResponse` 400 that names every parameter that is wrong.
    init(_ text: Substring?, now: Date) throws(ProblemResponse) {
        var query = QueryParameters(
            text,
            names: [
                "consultation", "crew", "duration_minutes", "from", "limit", "priority", "service", "to", "zone",
            ])
        limit = query.limit(1...200, default: 20)
        let from = query.instant("from") ?? now
        let to = query.instant("to") ?? from + 14 * 86_400
        if to <= from {
            query.reject("to", "order", "must be later than from")
        } else if to.timeIntervalSince(from) > AvailabilityAPI.maxDays * 86_400 {
            query.reject("to", "range", "must be within \(Int(AvailabilityAPI.maxDays)) days of from; ask in parts")
        }
        let zone = query.values["zone"]
        if let fault = TextRules.timeZone(zone ?? "") { query.reject("zone", fault.code, fault.detail) }
        let minutes = query.integer("duration_minutes", in: JobInput.duration)
        let lead = query.id("crew", as: ResourceID.self)
        let kinds = query.words("consultation", as: ConsultationKind.self)
        let priorities = query.words("priority", as: Priority.self)
        let visit: SlotQuestion.Visit?
        switch (query.values["service"], kinds.first) {
        case (let service?, nil) where query.values["consultation"] == nil:
            if let fault = TextRules.code(service) { query.reject("service", fault.code, fault.detail) }
            visit = .job(service: service, priority: priorities.first ?? .standard)
        case (nil, let kind?) where kinds.count == 1:
            visit = .consultation(kind)
        default:
            visit = nil
            query.reject("service", "choice", "give either a service or one kind of consultation")
        }
        if priorities.count > 1 || !(priorities.isEmpty || kinds.isEmpty) {
            query.reject("priority", "choice", "must be one priority, of a job")
        }
        try query.finish()
        guard let visit, from < to else { preconditionFailure("what is missing has been rejected") }
        question = SlotQuestion(
            visit: visit, timeZone: zone ?? "", durationMinutes: minutes, lead: lead, timeZonePointer: "/zone")
        window = Interval(start: from, end: to)
    }
}

/// The body of `POST /v1/conflict-check`, read and checked.
enum ConflictCheckInput {
    static func read(_ body: [UInt8]) throws -> (question: SlotQuestion, start: Date) {
        try JobInput.read(body) { reader in
            let service = reader.string("service", length: 64, check: TextRules.code)
            let kind = reader.choice("consultation", as: ConsultationKind.self)
            let priority = reader.choice("priority", as: Priority.self)
            let start = reader.instant("starts_at", .required)
            let zone = reader.string("time_zone", .required, length: 64, check: TextRules.timeZone)
            let minutes = reader.integer("duration_minutes", in: JobInput.duration)
            let lead = reader.resource("crew")
            let job = reader.string("job", length: 64) { text in
                JobID(rawValue: text) == nil ? ("format", "must be a job's id, such as job_01J...") : nil
            }
            if reader.has("priority"), reader.has("consultation") {
                reader.reject("priority", "choice", "only jobs have one")
            }
            if reader.has("service") == reader.has("consultation") {
                reader.reject("service", "choice", "give either a service or a kind of consultation")
            }
            let visit: SlotQuestion.Visit? =
                service.map { .job(service: $0, priority: priority ?? .standard) } ?? kind.map { .consultation($0) }
            guard let visit, let start, let zone else { return nil }
            return (
                SlotQuestion(
                    visit: visit, timeZone: zone, durationMinutes: minutes, lead: lead,
                    job: job.flatMap(JobID.init(rawValue:)), timeZonePointer: "/time_zone"),
                start
            )
        }
    }
}
