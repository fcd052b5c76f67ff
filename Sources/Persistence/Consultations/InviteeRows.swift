import Calendly
import Domain
import Foundation
import Postgres

extension InviteeRecord {
    static let columns: SQL = """
        uri, consultation_id, canceled, canceled_hint_at, active_at, rescheduled, old_invitee, new_invitee, no_show_uri,
        no_show_at, no_show_cleared_at, snapshot_at, is_hint, snapshot
        """

    init(row: Row) throws {
        func instant(_ column: String) throws -> Timestamp? {
            try row.decode(column, as: Date?.self).map(Timestamp.init)
        }
        self.init(uri: try row.decode("uri"))
        isCanceledForCertain = try row.decode("canceled")
        canceledHintAt = try instant("canceled_hint_at")
        activeAt = try instant("active_at")
        isRescheduled = try row.decode("rescheduled")
        oldInvitee = try row.decode("old_invitee")
        newInvitee = try row.decode("new_invitee")
        if let at = try instant("no_show_at") {
            noShow = InviteePayload.NoShow(uri: try row.decode("no_show_uri"), createdAt: at)
        }
        noShowClearedAt = try instant("no_show_cleared_at")
        if let at = try instant("snapshot_at") {
            let text = try row.decode("snapshot", as: String.self)
            snapshot = Snapshot(
                at: at, isHint: try row.decode("is_hint"),
                payload: try JSONDecoder().decode(InviteePayload.self, from: Data(text.utf8)))
        }
    }
}

extension ConsultationRepository {
    static func upserting(_ record: InviteeRecord, owner: ConsultationID, at now: Date) -> SQL {
        let snapshot = record.snapshot
        return """
            insert into calendly_invitees
                (uri, event_uri, consultation_id, is_placeholder, canceled, canceled_hint_at, active_at, rescheduled,
                 old_invitee, new_invitee, no_show_uri, no_show_at, no_show_cleared_at, snapshot_at, is_hint, snapshot,
                 created_at, updated_at)
            values
                (\(record.uri), \(snapshot?.payload.scheduledEvent.uri), \(owner.rawValue), \(record.isPlaceholder),
                 \(record.isCanceledForCertain), \(record.canceledHintAt?.date), \(record.activeAt?.date),
                 \(record.isRescheduled), \(record.oldInvitee), \(record.newInvitee), \(record.noShow?.uri),
                 \(record.noShow?.createdAt?.date), \(record.noShowClearedAt?.date), \(snapshot?.at.date),
                 \(record.isHint), \(snapshot.map { JSONText($0.payload.canonicalText) }), \(now), \(now))
            on conflict on constraint calendly_invitees_key do update set
                event_uri = excluded.event_uri, consultation_id = excluded.consultation_id,
                is_placeholder = excluded.is_placeholder, canceled = excluded.canceled,
                canceled_hint_at = excluded.canceled_hint_at, active_at = excluded.active_at,
                rescheduled = excluded.rescheduled, old_invitee = excluded.old_invitee,
                new_invitee = excluded.new_invitee, no_show_uri = excluded.no_show_uri,
                no_show_at = excluded.no_show_at, no_show_cleared_at = excluded.no_show_cleared_at,
                snapshot_at = excluded.snapshot_at, is_hint = excluded.is_hint, snapshot = excluded.snapshot,
                updated_at = excluded.updated_at
            """
    }
}
