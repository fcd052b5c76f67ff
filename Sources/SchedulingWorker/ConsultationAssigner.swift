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
///
/// Several consultations are dealt with together, in as many round trips as one. None of them may have to do with another.
struct ConsultationAssigner: Sendable {
    /// What a message asks for.
    struct Request: Sendable {
        let work: Work
        let event: ConsultationEvent
        /// The appointment that the consultation is to have; nil if it is off.
        let target: String?

        init(_ event: ConsultationEvent, _ work: Work) {
            self.work = work
            self.event = event
            target = work.envelope.type == .consultationCanceled ? nil : event.target
        }
    }

    /// A consultation that somebody has to be found for.
    private struct Search {
        let request: Request
        let locked: LockedAppointments
        let appointment: Appointment
        let companions: [AppointmentMember]
        let type: ConsultationType
        let calendar: BusinessCalendar
        let hosts: [Resource]
        let wanted: Interval
        let footprint: Footprint
        let preferences: [ResourceID: Int]

        var subject: Subject { .appointment(appointment.id) }
        var occupied: Interval { footprint.occupied(from: wanted.start) }
    }

    let transaction: Transaction
    let companyClock: SiteClock

    /// Carries requests out, all or none.
    ///
    /// - Returns: nil if two of them share an appointment, so that each has to be carried out by itself; nothing has been
    ///   done then.
    func run(_ requests: [Request]) async throws -> [Outcome]? {
        let locked = try await Appointments.lock(
            requests.map { Appointments.Wish($0.event.consultation, joining: $0.target) }, in: transaction)
        guard Self.areIndependent(locked) else { return nil }
        var outcomes: [Outcome?] = requests.map { _ in nil }
        var open: [Int] = []
        for (place, request) in requests.enumerated() {
            guard let own = locked[place]?.own else {
                outcomes[place] = unknown
                continue
            }
            if request.event.sequence <= own.assignment.sequence {
                outcomes[place] = stale(request.event, own.assignment)
            } else {
                open.append(place)
            }
        }
        // Cancellations need to know nothing more.
        let weeks = Set(open.flatMap { possibleWeeks(of: requests[$0], locked[$0]) })
        let desk = weeks.isEmpty ? nil : try await ConsultationDesk.load(weeks: weeks, in: transaction)
        var searches: [(place: Int, search: Search)] = []
        for place in open {
            let request = requests[place]
            guard let locked = locked[place] else { continue }
            if let desk, let target = request.target, !locked.own.assignment.isMerged {
                let beginning = try await request.work.context.traced {
                    try await begin(request, joining: target, locked, desk)
                }
                switch beginning {
                case .ended(let outcome): outcomes[place] = outcome
                case .searches(let search): searches.append((place, search))
                }
            } else {
                outcomes[place] = try await request.work.context.traced { try await free(request, locked) }
            }
        }
        if let desk, !searches.isEmpty {
            let booking = RotaBooking(transaction: transaction, people: desk.estimators, loads: desk.loads)
            let found = try await booking.book(
                searches.map {
                    RotaBooking.Visit(
                        subject: $0.search.subject, mayHold: $0.search.appointment.assignee != nil,
                        occupied: $0.search.occupied, work: $0.search.wanted, preferences: $0.search.preferences)
                })
            for ((place, search), assignee) in zip(searches, found) {
                outcomes[place] = try await search.request.work.context.traced {
                    try await end(search, with: assignee)
                }
            }
        }
        return outcomes.map { outcome in
            guard let outcome else { preconditionFailure("every request ends") }
            return outcome
        }
    }

    /// The weeks in which a visit may turn out to begin: as the event says or as the appointment is known, and with buffers.
    private func possibleWeeks(of request: Request, _ locked: LockedAppointments?) -> [ResourceLoads.Week] {
        guard let target = request.target else { return [] }
        let start = request.event.visit.startsAt
        return [start, locked?.appointments[target]?.work?.start ?? start].flatMap {
            [ResourceLoads.Week(of: $0), ResourceLoads.Week(of: $0 - 86400)]
        }
    }

    /// Whether no two requests may change the same rows.
    private static func areIndependent(_ locked: [LockedAppointments?]) -> Bool {
        var appointments: Set<String> = []
        var consultations: Set<ConsultationID> = []
        for locked in locked.compactMap(\.self) {
            for id in locked.appointments.keys where !appointments.insert(id).inserted { return false }
            for member in locked.members where !consultations.insert(member.consultation).inserted { return false }
        }
        return true
    }

    private enum Beginning {
        case ended(Outcome)
        case searches(Search)
    }

    /// `consultation.booked` and `.rescheduled`: settles what needs no search.
    private func begin(
        _ request: Request, joining target: String, _ locked: LockedAppointments, _ desk: ConsultationDesk
    ) async throws -> Beginning {
        let event = request.event
        guard var appointment = locked.appointments[target] else { return .ended(unknown) }
        guard let type = desk.types[event.kind] else {
            return .ended(
                .deadLetter(
                    code: "no_rules", detail: "there is no row in consultation_types for \(event.kind.rawValue)"))
        }
        // First, so that neither the old time nor that of its own other half, whose cancellation is still on its way,
        // stands in the way of the new one.
        for id in locked.appointments.keys where id != target { try await leave(id, locked) }
        try await releaseOldStyle(locked.own)

        let companions = locked.companions(at: target)
        let hosts = desk.estimators(hosting: event)
        let hasMoved = appointment.follow(event)
        guard let wanted = appointment.work else { preconditionFailure("what follows an event has a time") }
        // The customer holds a confirmed booking, so its own length counts, and its time even if that is after hours.
        var footprint = type.footprint
        footprint.workMinutes = max(1, Int(wanted.duration / 60))
        // Hosts go first, then whoever has the appointment, then whoever had this consultation.
        var preferences = locked.own.assignment.assignee.map { [$0.id: hosts.count + 1] } ?? [:]
        if let holder = appointment.assignee { preferences[holder] = hosts.count }
        for (rank, host) in hosts.enumerated() { preferences[host.id] = rank }
        let search = Search(
            request: request, locked: locked, appointment: appointment, companions: companions, type: type,
            calendar: desk.calendar(for: SiteClock(identifier: event.visit.timeZone) ?? companyClock), hosts: hosts,
            wanted: wanted, footprint: footprint, preferences: preferences)
        guard !companions.isEmpty, !hasMoved, let holder = appointment.assignee,
            let assignee = companions.lazy.compactMap(\.assignment.assignee).first(where: { $0.id == holder })
        else { return .searches(search) }
        try await Appointments.update(appointment, in: transaction)
        return .ended(
            try await settle(
                request, in: appointment, locked,
                ConsultationAssignment(
                    state: .assigned, assignee: assignee, sequence: event.sequence, reasons: notes(search, holder))))
    }

    /// Settles what a search has ended with; nil is nobody.
    private func end(_ search: Search, with estimator: Resource?) async throws -> Outcome {
        var new = ConsultationAssignment(state: .unassigned, sequence: search.request.event.sequence)
        if let estimator {
            new.state = .assigned
            new.assignee = estimator.assignee
            new.reasons = notes(search, estimator.id)
        } else {
            (new.reasons, new.alternatives) = try await whyNobody(search)
        }
        var appointment = search.appointment
        appointment.assignee = new.assignee?.id
        try await Appointments.update(appointment, in: transaction)
        for companion in search.companions where companion.assignment.assignee?.id != new.assignee?.id {
            try await settle(companion, like: new, in: appointment, search.locked, search.request.work)
        }
        return try await settle(search.request, in: appointment, search.locked, new)
    }

    /// What speaks against a visit that somebody goes to all the same.
    private func notes(_ search: Search, _ assignee: ResourceID) -> [String] {
        var notes: [String] = []
        if let host = search.hosts.first, !search.hosts.contains(where: { $0.id == assignee }) {
            notes.append("\(host.assignee.name), the host at Calendly, is taken at that time.")
        }
        if !search.type.isAnyHour, let objection = search.calendar.objection(to: search.wanted) {
            notes.append(objection.description)
        }
        return notes
    }

    /// Who is in the way of a visit, and when it would be possible.
    private func whyNobody(_ search: Search) async throws -> (reasons: [String], alternatives: [Alternative]) {
        let (occupied, clock) = (search.occupied, search.calendar.clock)
        let window = window(around: search.wanted.start, type: search.type, now: search.request.work.now)
        let roster = try await Roster.load(
            Requirements(subject: search.subject, leadKind: .estimator), footprint: search.footprint,
            window: Interval(start: min(window.start, occupied.start), end: max(window.end, occupied.end)),
            week: clock.week(of: search.wanted.start), preferences: search.preferences, in: transaction)
        var reasons = roster.groups.conflicts(in: occupied, clock: clock).map { $0.reason + "." }
        if roster.leads.members.isEmpty {
            reasons.append("There is no active estimator. Import one with `neff resources import`.")
        }
        let finder = SlotFinder(
            calendar: search.calendar, isAnyHour: search.type.isAnyHour, footprint: search.footprint)
        let alternatives = AlternativeSearch(finder: finder, leads: roster.leads, window: window)
        return (reasons, alternatives.alternatives(to: search.wanted.start))
    }

    /// Gives back what a consultation has: it is off, or booked as part of another one.
    private func free(_ request: Request, _ locked: LockedAppointments) async throws -> Outcome {
        if let held = locked.own.appointment { try await leave(held, locked) }
        try await releaseOldStyle(locked.own)
        return try await settle(
            request, in: nil, locked,
            ConsultationAssignment(state: .released, sequence: request.event.sequence))
    }

    /// Gives an appointment's time back if nobody else needs it.
    private func leave(_ id: String, _ locked: LockedAppointments) async throws {
        guard var appointment = locked.appointments[id], locked.companions(at: id).isEmpty else { return }
        try await Allocations.release(.appointment(id), in: transaction)
        appointment.assignee = nil
        try await Appointments.update(appointment, in: transaction)
    }

    /// Gives back what a program of the version before has booked, which knew no appointments.
    private func releaseOldStyle(_ member: AppointmentMember) async throws {
        guard member.appointment == nil, member.assignment.assignee != nil else { return }
        try await Allocations.release(.consultation(member.consultation), in: transaction)
    }

    /// When alternatives may start: near the wanted time, not before the notice, not after the horizon.
    private func window(around start: Date, type: ConsultationType, now: Date) -> Interval {
        let day: TimeInterval = 86400
        let earliest = now + Double(type.noticeMinutes) * 60
        let latest = now + Double(type.horizonDays) * day
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

extension ConsultationEvent {
    /// The appointment that the consultation is to have.
    var target: String { calendarEvent?.uri ?? consultation.rawValue }
}

extension ConsultationDesk {
    /// Our estimators among the hosts at Calendly, in the order of the hosts.
    fileprivate func estimators(hosting event: ConsultationEvent) -> [Resource] {
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
