package import Domain
package import Foundation
package import Messaging
package import Postgres
import Traces

/// The table of notifications: what is planned, on its way, sent, or failed.
package enum NotificationRepository {
    /// Plans a notification.
    ///
    /// - Parameters:
    ///   - mailDomain: the right side of the Message-ID.
    ///   - event: what the notice tells of.
    /// - Returns: its id; nil if the same person has been planned to be told of the same occasion before.
    /// - Throws: `PostgresError`.
    package static func plan(
        _ notification: PlannedNotification, mailDomain: String, following event: Envelope, in transaction: Transaction
    ) async throws -> NotificationID? {
        // From the occasion and the recipient, so that a repeated plan has the same Message-ID.
        let id = NotificationID(digest: MessageID.digest([notification.occasion, notification.recipient]))
        let data = JSONText(String(decoding: try WireJSON.encode(notification), as: UTF8.self))
        let rows = try await transaction.query(
            """
            insert into notifications
                (id, occasion, recipient, template, subject_kind, subject_id, sequence, mail_id, data, received_at,
                 correlation_id, message_id, trace_id)
            values
                (\(id.rawValue), \(notification.occasion), \(notification.recipient), \(notification.template),
                 \(notification.subjectKind.rawValue), \(notification.subjectID), \(notification.sequence),
                 \("\(id.rawValue.lowercased())@\(mailDomain)"), \(data), \(event.receivedAt), \(event.correlationID), \(event.id),
                 \((TraceContext.current ?? event.trace)?.traceID.description))
            on conflict do nothing returning id
            """)
        return rows.isEmpty ? nil : id
    }

    /// A notification that this process may send now.
    package struct Claim: Hashable, Sendable {
        package let id: NotificationID
        package let planned: PlannedNotification
        /// The stable Message-ID.
        package let mailID: String
        /// Whether an earlier send was cut off at the ambiguous instant.
        package let isRepeat: Bool

        package init(id: NotificationID, planned: PlannedNotification, mailID: String, isRepeat: Bool) {
            self.id = id
            self.planned = planned
            self.mailID = mailID
            self.isRepeat = isRepeat
        }

        /// What the row says of it.
        package func held(by holder: String) -> Held {
            Held(id: id, mailID: mailID, holder: holder, age: .zero)
        }
    }

    /// A notification whose row says that somebody is sending it.
    package struct Held: Hashable, Sendable {
        package let id: NotificationID
        package let mailID: String
        package let holder: String
        /// Since the claim, by the database's clock, which all workers share.
        package let age: Duration
    }

    /// What became of an attempt to claim.
    package enum ClaimResult: Hashable, Sendable {
        case claimed(Claim)
        case sent(mailID: String)
        /// A newer notice of the same subject has gone to the same person, so this one would only confuse.
        case superseded
        /// Given up earlier, for this reason.
        case failed(code: String, error: String)
        case held(Held)
        /// Another notice of the same subject is on its way to the same person. Until it is there or not, this one must
        /// wait: sent side by side, the older could arrive last and would be believed.
        case behind(Held)
        /// There is no such notification.
        case unknown
    }

    /// Takes a notification for sending: from here until `finish`, its row says who holds it.
    ///
    /// Of one subject, at most one notice to a person is taken at a time.
    /// - Parameter retriesFailed: whether one that failed for good may be tried again, as after a replay.
    /// - Throws: `PostgresError`; `DecodingError` for a row that this version cannot read.
    package static func claim(
        _ id: NotificationID, by holder: String, retriesFailed: Bool, in transaction: Transaction
    ) async throws -> ClaimResult {
        // Claims of notices of one subject to one person come one after the other, by a lock that ends with the transaction: a
        // row lock holds off only claims of the same notice. Whoever waits for it holds no other row that its holder wants.
        // Each statement sees what was committed before it began, so the last one what the holder before has done.
        let answers = try await transaction.pipeline([
            """
            select status, recipient, subject_kind, subject_id, sequence, mail_id, data::text as data, ambiguous,
                error_code, error, claimed_by, \(age) as age
            from notifications where id = \(id.rawValue) for update
            """,
            """
            select pg_advisory_xact_lock(
                hashtextextended('notice ' || subject_kind || '/' || subject_id || '/' || recipient, 0)) is null as locked
            from notifications where id = \(id.rawValue) and status not in ('sent', 'superseded', 'sending')
            """,
            """
            select id, status, mail_id, claimed_by, \(age) as age from notifications as other
            where (subject_kind, subject_id, recipient) = (
                    select subject_kind, subject_id, recipient from notifications where id = \(id.rawValue))
                and id <> \(id.rawValue)
                and (status = 'sending' or status = 'sent' and sequence > (
                    select sequence from notifications where id = \(id.rawValue)))
            order by status = 'sent' desc limit 1
            """,
        ])
        guard let row = answers[0].first else { return .unknown }
        switch try row.decode("status", as: String.self) {
        case "sent": return .sent(mailID: try row["mail_id"])
        case "superseded": return .superseded
        case "sending": return .held(try held(id, row))
        case "failed" where !retriesFailed, "unknown" where !retriesFailed:
            return .failed(
                code: try row.decode("error_code", as: String?.self) ?? "unknown",
                error: try row.decode("error", as: String?.self) ?? "")
        default: break
        }
        switch try rival(answers[2].first) {
        case nil: break
        case .sending(let other)?: return .behind(other)
        case .newerSent?:
            try await transaction.enqueue("update notifications set status = 'superseded' where id = \(id.rawValue)")
            return .superseded
        }
        try await transaction.enqueue(
            """
            update notifications set status = 'sending', claimed_by = \(holder), claimed_at = clock_timestamp(),
                attempts = attempts + 1
            where id = \(id.rawValue)
            """)
        let planned = try WireJSON.decode(PlannedNotification.self, from: row.decode("data", as: String.self).utf8)
        return .claimed(Claim(id: id, planned: planned, mailID: try row["mail_id"], isRepeat: try row["ambiguous"]))
    }

    private enum Rival {
        case sending(Held)
        case newerSent
    }

    /// What speaks against sending a notice: another one of the same subject to the same person.
    private static func rival(_ row: Row?) throws -> Rival? {
        guard let row else { return nil }
        guard try row.decode("status", as: String.self) == "sending",
            let other = NotificationID(rawValue: try row.decode("id"))
        else { return .newerSent }
        return .sending(try held(other, row))
    }

    /// The end of an attempt to send.
    package enum Ending: Hashable, Sendable {
        case sent(reply: String, at: Date)
        /// Back to planned; the message will come again.
        case postponed(code: String, error: String, isAmbiguous: Bool = false)
        case failed(code: String, error: String)
        /// It may have been accepted, and is held for an operator.
        case unknown(code: String, error: String)
    }

    /// Records the end of an attempt.
    ///
    /// A mail that was sent is recorded as sent whoever holds it now; anything else only while the holder is the same.
    /// - Returns: whether the row has changed.
    /// - Throws: `PostgresError`.
    package static func finish(_ held: Held, _ ending: Ending, in transaction: Transaction) async throws -> Bool {
        let change: SQL
        var isAllowed: SQL = "status = 'sending' and claimed_by = \(held.holder)"
        switch ending {
        case .sent(let reply, let at):
            change =
                "status = 'sent', sent_at = \(at), reply = \(reply.cappedUTF8(to: 500)), error_code = null, error = null"
            isAllowed = "status <> 'sent'"
        case .postponed(let code, let error, let isAmbiguous):
            change = "status = 'planned', ambiguous = ambiguous or \(isAmbiguous), \(failure(code, error))"
        case .failed(let code, let error):
            change = "status = 'failed', \(failure(code, error))"
        case .unknown(let code, let error):
            change = "status = 'unknown', ambiguous = true, \(failure(code, error))"
        }
        let rows = try await transaction.query(
            """
            update notifications set \(change), claimed_by = null, claimed_at = null
            where id = \(held.id.rawValue) and \(isAllowed) returning id
            """)
        return !rows.isEmpty
    }

    private static func failure(_ code: String, _ error: String) -> SQL {
        "error_code = \(code), error = \(error.cappedUTF8(to: 500))"
    }

    /// Locks everything that a holder has claimed and not finished.
    ///
    /// - Throws: `PostgresError`.
    package static func held(by holder: String, in transaction: Transaction) async throws -> [Held] {
        let rows = try await transaction.query(
            """
            select id, mail_id, claimed_by, \(age) as age
            from notifications where status = 'sending' and claimed_by = \(holder) order by id for update
            """)
        return try rows.compactMap { row in
            try NotificationID(rawValue: row.decode("id")).map { try held($0, row) }
        }
    }

    private static let age: SQL = "extract(epoch from clock_timestamp() - claimed_at)::float8"

    private static func held(_ id: NotificationID, _ row: Row) throws -> Held {
        Held(
            id: id, mailID: try row["mail_id"], holder: try row["claimed_by"],
            age: .seconds(try row.decode("age", as: Double.self)))
    }
}
