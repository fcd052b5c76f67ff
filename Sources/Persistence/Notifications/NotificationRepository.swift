package import Domain
package import Foundation
import Messaging
package import Postgres

/// The table of notifications: what is planned, on its way, sent, or failed.
package enum NotificationRepository {
    /// A notification that one worker holds while it sends it.
    package struct Claim: Hashable, Sendable {
        package let id: NotificationID
        package let planned: PlannedNotification
        /// The stable Message-ID.
        package let mailID: String
        /// Whether an earlier send was cut off at the ambiguous instant.
        package let isRepeat: Bool
    }

    /// What became of an attempt to claim.
    package enum ClaimResult: Hashable, Sendable {
        case claimed(Claim)
        /// Sent, superseded or failed before: nothing is to be done.
        case finished
        /// A newer notice of the same subject has gone to the same person, so this one would only confuse.
        case superseded
        /// Somebody holds it. The time is the claim's.
        case held(by: String, since: Date)
        case unknown
    }

    /// Plans a notification.
    ///
    /// - Returns: its id; nil if the same person has been planned to be told of the same occasion before.
    /// - Throws: `PostgresError`.
    package static func plan(
        _ notification: PlannedNotification, mailDomain: String, receivedAt: Date, in transaction: Transaction
    ) async throws -> NotificationID? {
        // From the occasion and the recipient, so that a repeated plan has the same Message-ID.
        let id = NotificationID(digest: MessageID.digest([notification.occasion, notification.recipient]))
        let data = JSONText(String(decoding: try WireJSON.encode(notification), as: UTF8.self))
        let rows = try await transaction.query(
            """
            insert into notifications
                (id, occasion, recipient, template, subject_kind, subject_id, sequence, mail_id, data, received_at)
            values
                (\(id.rawValue), \(notification.occasion), \(notification.recipient), \(notification.template),
                 \(notification.subjectKind.rawValue), \(notification.subjectID), \(notification.sequence),
                 \("\(id.rawValue.lowercased())@\(mailDomain)"), \(data), \(receivedAt))
            on conflict do nothing returning id
            """)
        return rows.isEmpty ? nil : id
    }

    /// Takes a notification for sending: from here until `finish`, its row says who holds it.
    ///
    /// - Parameter retriesFailed: whether one that failed for good may be tried again, as after a replay.
    /// - Throws: `PostgresError`.
    package static func claim(
        _ id: NotificationID, by holder: String, at now: Date, retriesFailed: Bool, in transaction: Transaction
    ) async throws -> ClaimResult {
        let rows = try await transaction.query(
            """
            select status, recipient, subject_kind, subject_id, sequence, mail_id, data::text as data, ambiguous,
                claimed_by, claimed_at
            from notifications where id = \(id.rawValue) for update
            """)
        guard let row = rows.first else { return .unknown }
        let status: String = try row["status"]
        switch status {
        case "planned": break
        case "failed" where retriesFailed, "unknown" where retriesFailed: break
        case "sending":
            return .held(by: try row.decode("claimed_by"), since: try row.decode("claimed_at"))
        default: return .finished
        }
        let recipient: String = try row["recipient"]
        let kind: String = try row["subject_kind"]
        let subject: String = try row["subject_id"]
        let newer = try await transaction.query(
            """
            select 1 as found from notifications
            where subject_kind = \(kind) and subject_id = \(subject) and recipient = \(recipient)
                and sequence > \(try row.decode("sequence", as: Int.self)) and status = 'sent' limit 1
            """)
        guard newer.isEmpty else {
            _ = try await transaction.query("update notifications set status = 'superseded' where id = \(id.rawValue)")
            return .superseded
        }
        _ = try await transaction.query(
            """
            update notifications set status = 'sending', claimed_by = \(holder), claimed_at = \(now),
                attempts = attempts + 1
            where id = \(id.rawValue)
            """)
        let planned = try WireJSON.decode(PlannedNotification.self, from: row.decode("data", as: String.self).utf8)
        return .claimed(
            Claim(
                id: id, planned: planned, mailID: try row["mail_id"], isRepeat: try row["ambiguous"]))
    }

    /// The end of an attempt to send.
    package enum Ending: Hashable, Sendable {
        case sent(reply: String, at: Date)
        /// Back to planned; the message will come again.
        case postponed(error: String)
        /// The same, but the mail may have been accepted.
        case postponedAmbiguously(error: String)
        case failed(error: String)
        /// It may have been accepted, and is held for an operator.
        case unknown(error: String)
    }

    /// Records the end of an attempt, if the notification is still held by the same holder.
    ///
    /// - Throws: `PostgresError`.
    package static func finish(
        _ id: NotificationID, heldBy holder: String, _ ending: Ending, in transaction: Transaction
    ) async throws {
        let status: String
        var sentAt: Date?
        var reply: String?
        var problem: String?
        var isAmbiguous = false
        switch ending {
        case .sent(let text, let at): (status, reply, sentAt) = ("sent", text, at)
        case .postponed(let text): (status, problem) = ("planned", text)
        case .postponedAmbiguously(let text): (status, problem, isAmbiguous) = ("planned", text, true)
        case .failed(let text): (status, problem) = ("failed", text)
        case .unknown(let text): (status, problem, isAmbiguous) = ("unknown", text, true)
        }
        _ = try await transaction.query(
            """
            update notifications set status = \(status), sent_at = \(sentAt), reply = \(reply?.cappedUTF8(to: 500)),
                error = \(problem?.cappedUTF8(to: 500)), ambiguous = ambiguous or \(isAmbiguous),
                claimed_by = null, claimed_at = null
            where id = \(id.rawValue) and status = 'sending' and claimed_by = \(holder)
            """)
    }

    /// Everything that a holder has claimed and not finished.
    ///
    /// - Throws: `PostgresError`.
    package static func held(by holder: String, in transaction: Transaction) async throws -> [(
        id: NotificationID, mailID: String
    )] {
        let rows = try await transaction.query(
            """
            select id, mail_id from notifications where status = 'sending' and claimed_by = \(holder) for update
            """)
        return try rows.compactMap { row in
            guard let id = NotificationID(rawValue: try row.decode("id", as: String.self)) else { return nil }
            return (id, try row.decode("mail_id", as: String.self))
        }
    }
}
