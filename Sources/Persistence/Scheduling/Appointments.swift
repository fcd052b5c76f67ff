package import Domain
package import Foundation
import Messaging
package import Postgres

/// A time at which an estimator goes somewhere: for one consultation, or for all who share a group event.
package struct Appointment: Hashable, Sendable {
    /// URI of the scheduled event at Calendly, or the consultation's id where no event is known.
    package let id: String
    /// When it is, without buffers; nil before anybody was looked for.
    package var work: Interval?
    /// Calendly's time of what it said of the event; an older word does not move it. Nil before it said anything.
    package var asOf: Date?
    /// Who goes, and holds the allocation.
    package var assignee: ResourceID?
}

/// A consultation as the scheduler finds it: its own columns, and what it has to tell people.
package struct AppointmentMember: Hashable, Sendable {
    package var consultation: ConsultationID
    /// Nil if it was never looked for an estimator, or no longer is.
    package var appointment: String?
    package var assignment: ConsultationAssignment
    package var kind: ConsultationKind
    package var customer: Person
    package var timeZone: String
    package var address: String?
    package var answers: [String: String]

    /// Whether it needs somebody to come.
    package var isActive: Bool {
        switch assignment.state {
        case .assigned, .unassigned: !assignment.isMerged
        case .pending, .released: false
        }
    }
}

/// What a message about a consultation may change, locked until the transaction ends.
package struct LockedAppointments: Sendable {
    package var own: AppointmentMember
    /// The appointment that it has, the one that it is to have, and those of consultations that were merged into it; by id.
    package var appointments: [String: Appointment]
    /// Every consultation of these appointments.
    package var members: [AppointmentMember]

    /// The others who need somebody to come to an appointment.
    package func companions(at appointment: String) -> [AppointmentMember] {
        members.filter { $0.appointment == appointment && $0.consultation != own.consultation && $0.isActive }
    }
}

/// Appointments, and which consultations belong to them.
///
/// Locks are taken in one order by all schedulers: appointments by id, consultations by id, resources by id. Whoever lets a
/// consultation join or leave an appointment holds that appointment's lock, so while it is held nobody comes or goes.
package enum Appointments {
    /// A consultation, and the appointment that it is to have: made if there is none of this id. Nil for one that leaves.
    package struct Wish: Hashable, Sendable {
        package var consultation: ConsultationID
        package var joining: String?

        package init(_ consultation: ConsultationID, joining: String?) {
            self.consultation = consultation
            self.joining = joining
        }
    }

    /// Locks all that messages about some consultations may change, in one round trip.
    ///
    /// - Parameter wishes: each about another consultation.
    /// - Returns: in the order of the wishes; nil where there is no such consultation.
    /// - Throws: `PostgresError`; a retriable one if a consultation changed its appointment while it was to be locked.
    package static func lock(
        _ wishes: [Wish], in transaction: Transaction
    ) async throws -> [LockedAppointments?] {
        let consultations = wishes.map(\.consultation.rawValue)
        let joining = wishes.filter { $0.joining != nil }
        let targets = joining.compactMap(\.joining)
        // Arrays, because a join would be free to read whole tables; those without an appointment put a null in, which
        // equals nothing.
        let concerned: SQL = """
            array(
                select unnest(\(targets)::text[]) union all
                select appointment from consultations where id = any(\(consultations)::text[]) union all
                select appointment from consultations where merged_into = any(\(consultations)::text[]))
            """
        // Statements run one after the other, and each sees what was committed before it began. So what the first one
        // finds, without a lock, may no longer be so for the later ones; it is compared below.
        let answers = try await transaction.pipeline([
            """
            select id, merged_into, appointment from consultations
            where id = any(\(consultations)::text[]) or merged_into = any(\(consultations)::text[])
            """,
            """
            insert into appointments (id)
            select distinct target from unnest(\(joining.map(\.consultation.rawValue))::text[], \(targets)::text[])
                as wish (consultation, target)
            where exists (select from consultations where id = wish.consultation) order by target
            on conflict on constraint appointments_key do nothing
            """,
            """
            select id, starts_at, ends_at, nullif(as_of, '-infinity') as as_of, assignee from appointments
            where id = any(\(concerned)) order by id for no key update
            """,
            """
            select c.id, c.appointment, c.assignment, c.assignment_sequence,
                c.assignment_revision, c.merged_into is not null as merged,
                c.assignee, (select r.name from resources r where r.id = c.assignee) as assignee_name,
                (select r.email from resources r where r.id = c.assignee) as assignee_email,
                c.kind, c.customer_name, c.customer_email, c.customer_phone, c.time_zone, c.address, c.answers
            from consultations c
            where c.id = any(\(consultations)::text[]) or c.appointment = any(\(concerned))
            order by c.id for no key update of c
            """,
        ])
        let appointments = try answers[2].map(Appointment.init(row:))
        let members = try answers[3].map(AppointmentMember.init(row:))
        var known: [ConsultationID: Set<String>] = [:]
        for row in answers[0] {
            guard let appointment = try row.decode("appointment", as: String?.self) else { continue }
            known[try row.decodeRaw("id"), default: []].insert(appointment)
            if let survivor = try row.decodeRawIfPresent("merged_into", as: ConsultationID.self) {
                known[survivor, default: []].insert(appointment)
            }
        }
        return try wishes.map { wish in
            guard let own = members.first(where: { $0.consultation == wish.consultation }) else { return nil }
            let ids = known[wish.consultation, default: []].union([wish.joining].compactMap(\.self))
            let locked = appointments.filter { ids.contains($0.id) }
            guard locked.count == ids.count, own.appointment.map(ids.contains) ?? true else { throw moved }
            return LockedAppointments(
                own: own, appointments: Dictionary(uniqueKeysWithValues: locked.map { ($0.id, $0) }),
                members: members.filter {
                    $0.consultation == wish.consultation || $0.appointment.map(ids.contains) ?? false
                })
        }
    }

    /// Worth beginning again, with other locks.
    private static let moved = PostgresError(
        .server, "a consultation changed its appointment while it was to be locked", sqlState: .serializationFailure)

    /// Writes a locked appointment, with the next statement or the commit.
    ///
    /// - Throws: `PostgresError`.
    package static func update(_ appointment: Appointment, in transaction: Transaction) async throws {
        try await transaction.enqueue(
            """
            update appointments set starts_at = \(appointment.work?.start), ends_at = \(appointment.work?.end),
                as_of = coalesce(\(appointment.asOf)::timestamptz, '-infinity'), assignee = \(appointment.assignee?.rawValue)
            where id = \(appointment.id)
            """)
    }
}

extension Appointment {
    fileprivate init(row: Row) throws {
        let start = try row.decode("starts_at", as: Date?.self)
        id = try row.decode("id")
        work = try start.map { Interval(start: $0, end: try row.decode("ends_at")) }
        asOf = try row.decode("as_of", as: Date?.self)
        assignee = try row.decodeRawIfPresent("assignee")
    }
}

extension AppointmentMember {
    fileprivate init(row: Row) throws {
        consultation = try row.decodeRaw("id")
        appointment = try row.decode("appointment")
        assignment = ConsultationAssignment(
            state: try row.decodeRaw("assignment"),
            assignee: try row.decodeRawIfPresent("assignee", as: ResourceID.self).map {
                Assignee(id: $0, name: try row.decode("assignee_name"), email: try row.decode("assignee_email"))
            },
            sequence: try row.decode("assignment_sequence"), revision: try row.decode("assignment_revision"),
            isMerged: try row.decode("merged"))
        kind = try row.decodeRaw("kind")
        customer = try Person(row: row)
        timeZone = try row.decode("time_zone")
        address = try row.decode("address")
        answers = try row.decodeJSON("answers")
    }
}
