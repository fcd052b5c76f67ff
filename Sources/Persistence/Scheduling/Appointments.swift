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
    /// How often a consultation may change its appointment while we wait for it.
    private static let maxTries = 8

    /// Locks all that a message about a consultation may change.
    ///
    /// - Parameter joining: the appointment that it is to have; made if there is none of this id. Nil for one that leaves.
    /// - Returns: nil if there is no such consultation.
    /// - Throws: `PostgresError`.
    package static func lock(
        _ consultation: ConsultationID, joining: String?, in transaction: Transaction
    ) async throws -> LockedAppointments? {
        for _ in 0..<maxTries {
            // Without a lock: which appointments these are may change until we have theirs, so it is looked at again.
            let known = try await transaction.query(
                """
                select appointment from consultations
                where (id = \(consultation.rawValue) or merged_into = \(consultation.rawValue))
                    and appointment is not null
                """)
            let ids = Set(
                try known.map { try $0.decode("appointment", as: String.self) } + [joining].compactMap(\.self))
            do {
                // A savepoint gives the locks up again if they turn out to be the wrong ones.
                return try await transaction.savepoint { inner in
                    let locked = try await lockAndRead(consultation, ids: ids.sorted(), joining: joining, in: inner)
                    if let held = locked?.own.appointment, !ids.contains(held) { throw Moved() }
                    return locked
                }
            } catch is Moved {
                continue
            }
        }
        throw PostgresError(.timeout, "the consultation kept changing its appointment while it was to be locked")
    }

    private struct Moved: Error {}

    private static func lockAndRead(
        _ consultation: ConsultationID, ids: [String], joining: String?, in transaction: Transaction
    ) async throws -> LockedAppointments? {
        var statements: [SQL] = []
        if let joining {
            statements.append(
                """
                insert into appointments (id) select \(joining)::text
                where exists (select from consultations where id = \(consultation.rawValue))
                on conflict on constraint appointments_key do nothing
                """)
        }
        // Statements run one after the other, and each sees what was committed before it began.
        statements.append(
            """
            select id, starts_at, ends_at, nullif(as_of, '-infinity') as as_of, assignee from appointments
            where id = any(\(ids)::text[]) order by id for no key update
            """)
        statements.append(
            """
            select c.id, c.appointment, c.assignment, c.assignment_sequence,
                c.assignment_revision, c.merged_into is not null as merged,
                c.assignee, (select r.name from resources r where r.id = c.assignee) as assignee_name,
                (select r.email from resources r where r.id = c.assignee) as assignee_email,
                c.kind, c.customer_name, c.customer_email, c.customer_phone, c.time_zone, c.address, c.answers
            from consultations c where c.id = \(consultation.rawValue) or c.appointment = any(\(ids)::text[])
            order by c.id for no key update of c
            """)
        let results = try await transaction.pipeline(statements)
        let members = try results[results.count - 1].map(AppointmentMember.init(row:))
        guard let own = members.first(where: { $0.consultation == consultation }) else { return nil }
        let appointments = try results[results.count - 2].map(Appointment.init(row:))
        return LockedAppointments(
            own: own, appointments: Dictionary(uniqueKeysWithValues: appointments.map { ($0.id, $0) }),
            members: members)
    }

    /// Writes a locked appointment.
    ///
    /// - Throws: `PostgresError`.
    package static func update(_ appointment: Appointment, in transaction: Transaction) async throws {
        _ = try await transaction.query(
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
