import Domain
import Foundation
import Persistence
import Postgres
import Scheduling

/// Takes a crew and machines for a job, or says why that is not possible and what is.
struct JobBooking: Sendable {
    let plan: JobPlan
    let booking: Booking

    init(
        plan: JobPlan, job: JobID, crew: ResourceID?, preferences: [ResourceID: Int] = [:], in transaction: Transaction
    ) {
        self.plan = plan
        booking = Booking(
            transaction: transaction,
            requirements: Requirements(
                subject: .job(job), leadKind: .crew, demands: plan.service.demands,
                equipmentTypes: plan.service.equipmentTypes, requestedLead: crew),
            footprint: plan.footprint, preferences: preferences, clock: plan.calendar.clock)
    }

    /// Takes what the job needs.
    ///
    /// - Parameter start: nil takes the first free time.
    /// - Throws: `Problem`, after which nothing has been taken or released.
    func book(at start: Date?) async throws -> SlotFinder.Slot {
        guard let start else { return try await bookFirst() }
        if let objection = plan.objection(to: start) {
            var problem = Problem.validation([objection])
            problem.alternatives = try await alternatives(to: start)
            throw problem
        }
        switch try await booking.book(at: start) {
        case .booked(let slot):
            return slot
        case .taken(let roster):
            try refuseUnlessStaffed(roster)
            let clock = plan.calendar.clock
            throw Problem.scheduleConflict(
                detail: "Not everything that the job needs is free \(clock.text(plan.footprint.work(from: start))).",
                conflicts: roster.groups.conflicts(in: plan.footprint.occupied(from: start), clock: clock),
                alternatives: try await alternatives(to: start))
        }
    }

    private func bookFirst() async throws -> SlotFinder.Slot {
        let window = Interval(start: plan.now, end: plan.now + plan.searchDays * 86400)
        switch try await booking.bookFirst(in: window, finder: plan.finder) {
        case .booked(let slot):
            return slot
        case .taken(let roster):
            try refuseUnlessStaffed(roster)
            throw Problem.scheduleConflict(
                detail: "Nothing is free within \(Int(plan.searchDays)) days. Ask for a shorter job or a later time.",
                conflicts: [], alternatives: [])
        }
    }

    private func alternatives(to start: Date) async throws -> [Alternative] {
        let window = plan.alternativesWindow(around: start)
        let roster = try await booking.roster(window: window, around: start)
        return AlternativeSearch(finder: plan.finder, leads: roster.leads, support: roster.support, window: window)
            .alternatives(to: start)
    }

    /// No time helps where the company has no crew with the skills, or no such machine.
    private func refuseUnlessStaffed(_ roster: Roster) throws {
        let missing = roster.groups.filter(\.members.isEmpty)
        guard !missing.isEmpty else { return }
        var problem = Problem.validation([
            Problem.FieldError(
                pointer: "/service", code: "resource_missing",
                detail: "No active resource can do this: \(missing.map(\.name).joined(separator: ", ")).")
        ])
        problem.conflicts = missing.flatMap(\.rejections)
        throw problem
    }
}

extension SlotFinder.Slot {
    /// The crew of a job, who always comes first.
    var lead: Assignee { selection.members[0].assignee }
}
