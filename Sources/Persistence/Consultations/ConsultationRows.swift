import Calendly
import Domain
import Foundation
import Postgres

extension ConsultationRecord {
    static let columns: SQL = """
        id, kind, state, sequence, customer_name, customer_email, customer_phone, starts_at, ends_at, time_zone, address,
        answers, hosts, event_type, event_name, cancel_url, reschedule_url, canceled_by, cancel_reason, current_invitee,
        announced_state, announced_invitee, announced_starts_at, announced_ends_at, merged_into
        """

    init(row: Row) throws {
        let told = try row.decodeRawIfPresent("announced_state", as: ConsultationState.self).map { state in
            Told(
                state: state, invitee: try row.decode("announced_invitee"),
                startsAt: try row.decode("announced_starts_at"), endsAt: try row.decode("announced_ends_at"))
        }
        self.init(
            id: try row.decodeRaw("id"),
            sequence: try row.decode("sequence"),
            told: told,
            projection: ConsultationProjection(
                state: try row.decodeRaw("state"),
                currentInvitee: try row.decode("current_invitee"),
                kind: try row.decodeRaw("kind"),
                customer: try Person(row: row),
                visit: Visit(
                    startsAt: try row.decode("starts_at"), endsAt: try row.decode("ends_at"),
                    timeZone: try row.decode("time_zone")),
                address: try row.decode("address"),
                answers: try row.decodeJSON("answers"),
                hosts: try row.decodeJSON("hosts"),
                eventType: try row.decode("event_type"),
                eventName: try row.decode("event_name"),
                cancelURL: try row.decode("cancel_url"),
                rescheduleURL: try row.decode("reschedule_url"),
                canceledBy: try row.decode("canceled_by"),
                cancelReason: try row.decode("cancel_reason")),
            mergedInto: try row.decodeRawIfPresent("merged_into"))
    }
}

extension ConsultationRepository {
    static func inserting(_ record: ConsultationRecord, at now: Date) throws -> SQL {
        """
        insert into consultations (\(ConsultationRecord.columns), created_at, updated_at)
        values (\(try values(of: record)), \(now), \(now))
        """
    }

    static func updating(_ record: ConsultationRecord, at now: Date) throws -> SQL {
        """
        update consultations set (\(ConsultationRecord.columns), version, updated_at)
            = row (\(try values(of: record)), version + 1, \(now))
        where id = \(record.id.rawValue)
        """
    }

    /// In the order of `ConsultationRecord.columns`.
    private static func values(of record: ConsultationRecord) throws -> SQL {
        let now = record.projection
        let told = record.told
        return """
            \(record.id.rawValue), \(now.kind.rawValue), \(now.state.rawValue), \(record.sequence),
            \(now.customer.name), \(now.customer.email), \(now.customer.phone), \(now.visit.startsAt),
            \(now.visit.endsAt), \(now.visit.timeZone), \(now.address), \(try JSONText(wire: now.answers)),
            \(try JSONText(wire: now.hosts)), \(now.eventType), \(now.eventName), \(now.cancelURL), \(now.rescheduleURL),
            \(now.canceledBy), \(now.cancelReason), \(now.currentInvitee), \(told?.state.rawValue),
            \(told?.invitee), \(told?.startsAt), \(told?.endsAt), \(record.mergedInto?.rawValue)
            """
    }
}
