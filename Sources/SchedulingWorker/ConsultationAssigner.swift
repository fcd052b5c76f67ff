import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import WorkerRuntime

/// Gives a consultation its estimator, moves it and takes it away.
///
/// Events may come late, twice and in any order. Each carries the consultation's sequence; the assignment remembers the
/// sequence it was made for, and what is not newer is ignored. So a cancellation that overtakes its booking stays, and
/// all orders end in the same allocations.
struct ConsultationAssigner: Sendable {
    let work: Work
    let companyClock: SiteClock

    /// `consultation.booked` and `.rescheduled`.
    func assign(_ event: ConsultationEvent) async throws -> Outcome {
        guard let current = try await ConsultationAssignments.lock(event.consultation, in: work.transaction) else {
            return unknown
        }
        guard event.sequence > current.sequence else { return stale(event, current) }
        if current.isMerged { return try await free(event, current) }
        guard let type = try await BookingRules.consultationType(event.kind, in: work.transaction) else {
            return .deadLetter(
                code: "no_rules", detail: "there is no row in consultation_types for \(event.kind.rawValue)")
        }
        // Otherwise its own other half, whose cancellation is still on its way, would stand in its way.
        try await Allocations.releaseMerged(into: event.consultation, in: work.transaction)
        let clock = SiteClock(identifier: event.visit.timeZone) ?? companyClock
        let calendar = try await BookingRules.calendar(for: clock, in: work.transaction)
        let hosts = try await estimators(hosting: event)
        var preferences: [ResourceID: Int] = current.assignee.map { [$0.id: hosts.count] } ?? [:]
        for (rank, host) in hosts.enumerated() { preferences[host.id] = rank }

        // The customer holds a confirmed booking, so its own length counts, and its time even if that is after hours.
        var footprint = type.footprint
        footprint.workMinutes = max(1, Int(event.visit.endsAt.timeIntervalSince(event.visit.startsAt) / 60))
        let booking = Booking(
            transaction: work.transaction,
            requirements: Requirements(subject: .consultation(event.consultation), leadKind: .estimator),
            footprint: footprint, preferences: preferences, clock: clock)
        switch try await booking.book(at: event.visit.startsAt) {
        case .booked(let slot):
            let assignee = slot.selection.members[0].assignee
            var notes: [String] = []
            if let host = hosts.first, !hosts.contains(where: { $0.id == assignee.id }) {
                notes.append("\(host.assignee.name), the host at Calendly, is taken at that time.")
            }
            if !type.isAnyHour, let objection = calendar.objection(to: slot.work) {
                notes.append(objection.description)
            }
            return try await settle(
                event, from: current,
                to: ConsultationAssignment(
                    state: .assigned, assignee: assignee, sequence: event.sequence, reasons: notes))
        case .taken(let roster):
            // The old time is no longer wanted, so it is given up even though there is no new one.
            try await Allocations.release(booking.requirements.subject, in: work.transaction)
            let occupied = footprint.occupied(from: event.visit.startsAt)
            var reasons = roster.groups.conflicts(in: occupied, clock: clock).map { $0.reason + "." }
            if roster.leads.members.isEmpty {
                reasons.append("There is no active estimator. Import one with `neff resources import`.")
            }
            let finder = SlotFinder(calendar: calendar, isAnyHour: type.isAnyHour, footprint: footprint)
            let window = window(around: event.visit.startsAt, type: type)
            let search = AlternativeSearch(
                finder: finder, leads: try await booking.roster(window: window, around: event.visit.startsAt).leads,
                window: window)
            return try await settle(
                event, from: current,
                to: ConsultationAssignment(
                    state: .unassigned, sequence: event.sequence, reasons: reasons,
                    alternatives: search.alternatives(to: event.visit.startsAt)))
        }
    }

    /// `consultation.canceled`.
    func release(_ event: ConsultationEvent) async throws -> Outcome {
        guard let current = try await ConsultationAssignments.lock(event.consultation, in: work.transaction) else {
            return unknown
        }
        guard event.sequence > current.sequence else { return stale(event, current) }
        return try await free(event, current)
    }

    private func free(_ event: ConsultationEvent, _ current: ConsultationAssignment) async throws -> Outcome {
        try await Allocations.release(.consultation(event.consultation), in: work.transaction)
        return try await settle(
            event, from: current, to: ConsultationAssignment(state: .released, sequence: event.sequence))
    }

    /// Writes the assignment and tells those whom it concerns: who goes, who no longer goes, or that nobody can.
    private func settle(
        _ event: ConsultationEvent, from old: ConsultationAssignment, to new: ConsultationAssignment
    ) async throws -> Outcome {
        try await ConsultationAssignments.update(event.consultation, to: new, at: work.now, in: work.transaction)
        if old.state != new.state || old.assignee?.id != new.assignee?.id {
            try await ChangeLog.append(
                ChangeLogEntry(
                    at: work.now, subject: .consultation(event.consultation), change: .crewChanged,
                    before: try ChangeLogEntry.json(AssignmentRecord(old)),
                    after: try ChangeLogEntry.json(AssignmentRecord(new)), actor: "scheduling", source: .scheduler,
                    reason: new.reasons.isEmpty ? nil : new.reasons.joined(separator: " "),
                    requestID: work.envelope.id),
                in: work.transaction)
        }
        var notice = ConsultationAssignmentEvent(
            consultation: event.consultation, sequence: event.sequence, kind: event.kind, customer: event.customer,
            visit: event.visit, address: event.address, answers: event.answers)
        if let before = old.assignee, before.id != new.assignee?.id {
            var farewell = notice
            farewell.assignee = before
            // What stands in their calendar is the visit as it was.
            farewell.visit = event.previousVisit ?? event.visit
            try await publish(.consultationReleased, farewell)
        }
        switch new.state {
        case .assigned:
            notice.assignee = new.assignee
            notice.isUpdate = old.assignee?.id == new.assignee?.id
            try await publish(.consultationAssigned, notice)
        case .unassigned:
            notice.reasons = new.reasons
            notice.alternatives = new.alternatives
            try await publish(.consultationUnassigned, notice)
        case .pending, .released:
            break
        }
        return .done
    }

    private func publish(_ type: MessageType, _ notice: ConsultationAssignmentEvent) async throws {
        try await work.publish(type, about: notice.consultation.rawValue, body: notice)
    }

    /// Our estimators among the hosts at Calendly, in the order of the hosts.
    private func estimators(hosting event: ConsultationEvent) async throws -> [Resource] {
        guard !event.hosts.isEmpty else { return [] }
        let estimators = try await Resources.active(.estimator, equipmentTypes: [], in: work.transaction)
        var found: [Resource] = []
        for host in event.hosts {
            let match =
                estimators.first { $0.calendlyUser == host.user }
                ?? host.email.flatMap { email in
                    estimators.first { $0.assignee.email?.lowercased() == email.lowercased() }
                }
            if let match, !found.contains(match) { found.append(match) }
        }
        return found
    }

    /// When alternatives may start: near the wanted time, not before the notice, not after the horizon.
    private func window(around start: Date, type: ConsultationType) -> Interval {
        let day: TimeInterval = 86400
        let earliest = work.now + Double(type.noticeMinutes) * 60
        let latest = work.now + Double(type.horizonDays) * day
        let from = max(earliest, start - 7 * day)
        return Interval(start: from, end: max(from, min(latest, max(start, from) + 14 * day)))
    }

    private var unknown: Outcome {
        // The event is published in the transaction that writes the row, so this is a database that lost its past.
        .deadLetter(code: "unknown_consultation", detail: "there is no such consultation; was the database restored?")
    }

    private func stale(_ event: ConsultationEvent, _ current: ConsultationAssignment) -> Outcome {
        .ignored(reason: "sequence \(event.sequence) is not newer than \(current.sequence)")
    }
}

/// An assignment as the change log keeps it.
private struct AssignmentRecord: Encodable {
    var assignment: AssignmentState
    var assignee: ResourceName?
    var sequence: Int

    init(_ assignment: ConsultationAssignment) {
        self.assignment = assignment.state
        assignee = assignment.assignee.map { ResourceName(id: $0.id, name: $0.name) }
        sequence = assignment.sequence
    }
}
