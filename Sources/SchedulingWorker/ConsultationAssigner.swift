import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import Scheduling
import WorkerRuntime

/// Gives a consultation its estimator, moves it and takes it away.
///
/// Events may come late, twice and in any order. Each carries the consultation's sequence; the assignment remembers the
/// sequence it was made for, and what is not newer is ignored. So a cancellation that overtakes its booking stays, and
/// all orders end in the same allocations.
///
/// What is booked is an appointment, which all consultations of one event at Calendly share: one estimator, one allocation.
/// The first one books it, whoever comes with a newer time moves it for all, and the last one to leave gives it back.
struct ConsultationAssigner: Sendable {
    let work: Work
    let companyClock: SiteClock

    /// `consultation.booked` and `.rescheduled`.
    func assign(_ event: ConsultationEvent) async throws -> Outcome {
        let target = event.calendarEvent?.uri ?? event.consultation.rawValue
        guard
            let locked = try await Appointments.lock(event.consultation, joining: target, in: work.transaction),
            var appointment = locked.appointments[target]
        else { return unknown }
        let current = locked.own.assignment
        guard event.sequence > current.sequence else { return stale(event, current) }
        if current.isMerged { return try await free(event, locked) }
        guard let type = try await BookingRules.consultationType(event.kind, in: work.transaction) else {
            return .deadLetter(
                code: "no_rules", detail: "there is no row in consultation_types for \(event.kind.rawValue)")
        }
        // First, so that neither the old time nor that of its own other half, whose cancellation is still on its way,
        // stands in the way of the new one.
        for id in locked.appointments.keys where id != target { try await leave(id, locked) }
        try await releaseOldStyle(locked.own)

        let companions = locked.companions(at: target)
        let clock = SiteClock(identifier: event.visit.timeZone) ?? companyClock
        let calendar = try await BookingRules.calendar(for: clock, in: work.transaction)
        let hosts = try await estimators(hosting: event)
        let hasMoved = appointment.follow(event)
        guard let wanted = appointment.work else { preconditionFailure("what follows an event has a time") }
        // The customer holds a confirmed booking, so its own length counts, and its time even if that is after hours.
        var footprint = type.footprint
        footprint.workMinutes = max(1, Int(wanted.duration / 60))

        func notes(_ assignee: ResourceID) -> [String] {
            var notes: [String] = []
            if let host = hosts.first, !hosts.contains(where: { $0.id == assignee }) {
                notes.append("\(host.assignee.name), the host at Calendly, is taken at that time.")
            }
            if !type.isAnyHour, let objection = calendar.objection(to: wanted) { notes.append(objection.description) }
            return notes
        }
        if !companions.isEmpty, !hasMoved, let holder = appointment.assignee,
            let assignee = companions.lazy.compactMap(\.assignment.assignee).first(where: { $0.id == holder })
        {
            try await Appointments.update(appointment, in: work.transaction)
            return try await settle(
                event, in: appointment, locked,
                ConsultationAssignment(
                    state: .assigned, assignee: assignee, sequence: event.sequence, reasons: notes(holder)))
        }

        // Hosts go first, then whoever has the appointment, then whoever had this consultation.
        var preferences = current.assignee.map { [$0.id: hosts.count + 1] } ?? [:]
        if let holder = appointment.assignee { preferences[holder] = hosts.count }
        for (rank, host) in hosts.enumerated() { preferences[host.id] = rank }
        let booking = Booking(
            transaction: work.transaction,
            requirements: Requirements(subject: .appointment(target), leadKind: .estimator),
            footprint: footprint, preferences: preferences, clock: clock)
        var new = ConsultationAssignment(state: .unassigned, sequence: event.sequence)
        switch try await booking.book(at: wanted.start) {
        case .booked(let slot):
            let assignee = slot.selection.members[0].assignee
            new.state = .assigned
            new.assignee = assignee
            new.reasons = notes(assignee.id)
        case .taken(let roster):
            // The old time is no longer wanted, so it is given up even though there is no new one.
            try await Allocations.release(booking.requirements.subject, in: work.transaction)
            let occupied = footprint.occupied(from: wanted.start)
            new.reasons = roster.groups.conflicts(in: occupied, clock: clock).map { $0.reason + "." }
            if roster.leads.members.isEmpty {
                new.reasons.append("There is no active estimator. Import one with `neff resources import`.")
            }
            let finder = SlotFinder(calendar: calendar, isAnyHour: type.isAnyHour, footprint: footprint)
            let window = window(around: wanted.start, type: type)
            let search = AlternativeSearch(
                finder: finder, leads: try await booking.roster(window: window, around: wanted.start).leads,
                window: window)
            new.alternatives = search.alternatives(to: wanted.start)
        }
        appointment.assignee = new.assignee?.id
        try await Appointments.update(appointment, in: work.transaction)
        for companion in companions where companion.assignment.assignee?.id != new.assignee?.id {
            try await settle(companion, like: new, in: appointment, locked)
        }
        return try await settle(event, in: appointment, locked, new)
    }

    /// `consultation.canceled`.
    func release(_ event: ConsultationEvent) async throws -> Outcome {
        guard let locked = try await Appointments.lock(event.consultation, joining: nil, in: work.transaction) else {
            return unknown
        }
        guard event.sequence > locked.own.assignment.sequence else { return stale(event, locked.own.assignment) }
        return try await free(event, locked)
    }

    private func free(_ event: ConsultationEvent, _ locked: LockedAppointments) async throws -> Outcome {
        if let held = locked.own.appointment { try await leave(held, locked) }
        try await releaseOldStyle(locked.own)
        return try await settle(
            event, in: nil, locked, ConsultationAssignment(state: .released, sequence: event.sequence))
    }

    /// Gives an appointment's time back if nobody else needs it.
    private func leave(_ id: String, _ locked: LockedAppointments) async throws {
        guard var appointment = locked.appointments[id], locked.companions(at: id).isEmpty else { return }
        try await Allocations.release(.appointment(id), in: work.transaction)
        appointment.assignee = nil
        try await Appointments.update(appointment, in: work.transaction)
    }

    /// Gives back what a program of the version before has booked, which knew no appointments.
    private func releaseOldStyle(_ member: AppointmentMember) async throws {
        guard member.appointment == nil, member.assignment.assignee != nil else { return }
        try await Allocations.release(.consultation(member.consultation), in: work.transaction)
    }

    // MARK: - Telling

    /// Settles the consultation that the event is about.
    private func settle(
        _ event: ConsultationEvent, in appointment: Appointment?, _ locked: LockedAppointments,
        _ new: ConsultationAssignment
    ) async throws -> Outcome {
        // Of an event that has been moved meanwhile, the estimator is told the time that holds; the customer's own news of
        // it is on its way.
        var visit = event.visit
        if let work = appointment?.work { (visit.startsAt, visit.endsAt) = (work.start, work.end) }
        let notice = ConsultationAssignmentEvent(
            consultation: event.consultation, sequence: event.sequence, kind: event.kind, customer: event.customer,
            visit: visit, address: event.address, answers: event.answers)
        try await settle(
            notice, farewellVisit: event.previousVisit ?? event.visit, from: locked.own, to: new, in: appointment,
            locked)
        return .done
    }

    /// Settles a consultation whose appointment has changed hands because of another one.
    private func settle(
        _ companion: AppointmentMember, like model: ConsultationAssignment, in appointment: Appointment,
        _ locked: LockedAppointments
    ) async throws {
        guard let time = appointment.work else { return }
        var new = model
        new.sequence = companion.assignment.sequence
        let visit = Visit(startsAt: time.start, endsAt: time.end, timeZone: companion.timeZone)
        let notice = ConsultationAssignmentEvent(
            consultation: companion.consultation, sequence: new.sequence, kind: companion.kind,
            customer: companion.customer, visit: visit, address: companion.address, answers: companion.answers)
        try await settle(notice, farewellVisit: visit, from: companion, to: new, in: appointment, locked)
    }

    /// Writes the assignment and tells those whom it concerns: who goes, who no longer goes, or that nobody can.
    ///
    /// - Parameter farewellVisit: what stands in the calendar of whoever had it.
    private func settle(
        _ notice: ConsultationAssignmentEvent, farewellVisit: Visit, from member: AppointmentMember,
        to new: ConsultationAssignment, in appointment: Appointment?, _ locked: LockedAppointments
    ) async throws {
        let old = member.assignment
        var new = new
        new.revision = max(old.revision + 1, new.sequence)
        var notice = notice
        notice.revision = new.revision
        try await ConsultationAssignments.update(
            member.consultation, to: new, appointment: appointment?.id, at: work.now, in: work.transaction)
        if old.state != new.state || old.assignee?.id != new.assignee?.id {
            try await ChangeLog.append(
                ChangeLogEntry(
                    at: work.now, subject: .consultation(member.consultation), change: .crewChanged,
                    before: try ChangeLogEntry.json(AssignmentRecord(old)),
                    after: try ChangeLogEntry.json(AssignmentRecord(new)), actor: "scheduling", source: .scheduler,
                    reason: new.reasons.isEmpty ? nil : new.reasons.joined(separator: " "),
                    requestID: work.envelope.id, correlationID: work.envelope.correlationID),
                in: work.transaction)
        }
        func publish(_ type: MessageType, _ body: ConsultationAssignmentEvent) async throws {
            try await work.publish(type, about: member.consultation.rawValue, body: body)
        }
        if let before = old.assignee, before.id != new.assignee?.id {
            var farewell = notice
            farewell.assignee = before
            farewell.visit = farewellVisit
            // Those who still come to the visit that this one leaves, as long as it stays with the same person.
            farewell.companions = member.appointment.map { held in
                locked.companions(at: held).count { held != appointment?.id && $0.assignment.assignee?.id == before.id }
            }
            try await publish(.consultationReleased, farewell)
        }
        // The same for all of them: from a companion's side the own one has come in for itself.
        notice.companions = appointment.map { locked.companions(at: $0.id).count }
        switch new.state {
        case .assigned:
            notice.assignee = new.assignee
            notice.isUpdate = old.assignee?.id == new.assignee?.id
            notice.previousVisit = notice.isUpdate && farewellVisit != notice.visit ? farewellVisit : nil
            try await publish(.consultationAssigned, notice)
        case .unassigned:
            notice.reasons = new.reasons
            notice.alternatives = new.alternatives
            try await publish(.consultationUnassigned, notice)
        case .pending, .released:
            break
        }
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

extension Appointment {
    /// Takes over the event's time unless a newer one is known.
    ///
    /// - Returns: whether the time is another one than it was, or the first.
    fileprivate mutating func follow(_ event: ConsultationEvent) -> Bool {
        if let asOf, work != nil, let said = event.calendarEvent?.asOf, said < asOf { return false }
        let wanted = Interval(start: event.visit.startsAt, end: max(event.visit.startsAt, event.visit.endsAt))
        defer {
            work = wanted
            asOf = event.calendarEvent?.asOf ?? asOf
        }
        return work != wanted
    }
}
