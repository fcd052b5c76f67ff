import Domain
import Foundation
import HTTPTypes
import Messaging
import Persistence
import Scheduling

/// Says what is free and why nothing is, and whether a job or a consultation would fit at a time. It reads one moment of the
/// database and books nothing.
struct AvailabilityAPI: Sendable {
    let store: any ConfigurationStore
    let now: @Sendable () -> Date

    /// The longest window that is searched; more is asked for in parts.
    static let maxDays = 62.0

    var routes: [ConfigurationAPI.Entry] {
        [
            .init(method: .get, template: "/v1/availability", permission: .readSchedule, handler: slots),
            .init(method: .post, template: "/v1/conflict-check", permission: .readSchedule, handler: check),
        ]
    }

    func slots(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let asked = try AvailabilityQuery(request.query, now: now())
        let search: SlotSearch
        let found: SlotSearch.Found
        do {
            (search, found) = try await store.read { transaction in
                let search = try await asked.question.search(now: now(), in: transaction)
                return (search, try await search.slots(in: asked.window, limit: asked.limit, in: transaction))
            }
        } catch let problem as Problem where problem.status == 422 {
            throw Self.inQuery(problem)
        }
        return .json(
            try WireJSON.encode(
                Slots(
                    timeZone: asked.question.timeZone, durationMinutes: search.finder.footprint.workMinutes,
                    from: asked.window.start, to: asked.window.end, items: found.slots.map(Slot.init),
                    reasons: found.reasons)))
    }

    func check(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        try StaffAPI.requireJSON(request)
        let (question, start) = try ConflictCheckInput.read(request.body)
        let verdict = try await store.read { transaction in
            try await question.search(now: now(), in: transaction).verdict(at: start, in: transaction)
        }
        return .json(try WireJSON.encode(Verdict(verdict)))
    }

    /// Parameters have names where fields have pointers.
    private static func inQuery(_ problem: Problem) -> ProblemResponse {
        let errors = problem.errors.map { error in
            Problem.FieldError(
                pointer: String(error.pointer.drop { $0 == "/" }), code: error.code, detail: error.detail)
        }
        let names = Set(errors.map(\.pointer)).sorted().joined(separator: ", ")
        return ProblemResponse(.malformedRequest, "The query has invalid parameters: \(names).", errors: errors)
    }
}

/// Who or what would go.
private struct Goer: Encodable {
    var id: ResourceID
    var name: String
}

private struct Slot: Encodable {
    var startsAt: Date
    var endsAt: Date
    /// The crew or the estimator first, then the machines.
    var who: [Goer]

    init(_ slot: SlotFinder.Slot) {
        startsAt = slot.work.start
        endsAt = slot.work.end
        who = slot.selection.members.map { Goer(id: $0.assignee.id, name: $0.assignee.name) }
    }
}

private struct Slots: Encodable {
    var timeZone: String
    var durationMinutes: Int
    var from: Date
    var to: Date
    var items: [Slot]
    var reasons: [SlotSearch.Reason]
}

private struct Verdict: Encodable {
    var fits: Bool
    var startsAt: Date
    var endsAt: Date
    var who: [Goer]
    /// What is wrong with the time itself, as a code and in words.
    var objection: Objection?
    var conflicts: [Problem.Conflict]
    var missing: [String]
    var alternatives: [Alternative]

    struct Objection: Encodable {
        var code: String
        var detail: String
    }

    init(_ verdict: SlotSearch.Verdict) {
        fits = verdict.slot != nil
        startsAt = verdict.work.start
        endsAt = verdict.work.end
        who = verdict.slot.map { Slot($0).who } ?? []
        objection = verdict.objection.map { Objection(code: $0.code, detail: $0.description) }
        conflicts = verdict.conflicts
        missing = verdict.missing
        alternatives = verdict.alternatives
    }
}
