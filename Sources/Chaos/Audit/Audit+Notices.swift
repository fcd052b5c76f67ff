import Foundation
import Postgres
import Sandbox

/// Everybody is told once.
extension Audit {
    /// - Returns: how many notices were refused for good, by recipient.
    mutating func notices(_ pool: PostgresPool, _ mails: [Mailbox.Mail]) async throws -> [String: Int] {
        var copies: [String: [Mailbox.Mail]] = [:]
        for mail in mails { copies[Self.bare(mail.messageID ?? ""), default: []].append(mail) }
        var known: Set<String> = []
        var failed: [String: Int] = [:]
        var sent = 0
        var superseded = 0
        var repeats = 0
        var ambiguous = 0
        for row in try await pool.query("select occasion, recipient, mail_id, status, ambiguous from notifications") {
            let (occasion, recipient, mailID, status, isAmbiguous) = try row.decode(
                String.self, String.self, String.self, String.self, Bool.self)
            let id = Self.bare(mailID)
            known.insert(id)
            let found = copies[id]?.count ?? 0
            if isAmbiguous { ambiguous += 1 }
            switch status {
            case "sent":
                sent += 1
                if found == 0 { violate("lost: no mail to \(recipient) for \(occasion), though it counts as sent") }
                if found > 1 {
                    if isAmbiguous {
                        repeats += found - 1
                    } else {
                        violate("duplicate: \(found) mails to \(recipient) for \(occasion)")
                    }
                }
            case "superseded", "failed":
                if status == "superseded" { superseded += 1 } else { failed[recipient.lowercased(), default: 0] += 1 }
                // A try that was cut off after its dot may have got through before the notice was given up.
                if found > 0, !isAmbiguous {
                    violate("duplicate: \(found) mails to \(recipient) for \(occasion), which is \(status)")
                }
            default: violate("stuck: the notice to \(recipient) for \(occasion) is \(status)")
            }
        }
        for (id, mails) in copies where !known.contains(id) {
            violate("mail \(id) to \(mails[0].recipients) belongs to no notice")
        }
        try await occasions(pool)
        count("notices sent", sent)
        count("notices superseded", superseded)
        count("notices refused for good", failed.values.reduce(0, +))
        count("mails handed over", mails.count)
        count("ambiguous instants", ambiguous)
        count("repeated mails of ambiguous instants", repeats)
        if ambiguous > 0 {
            explain(
                "\(ambiguous) sends were cut off between the final dot and the server's answer; nobody can know whether "
                    + "the server took them, so they were sent again under the same Message-ID, and \(repeats) arrived "
                    + "twice (docs/workers/notification.md, the ambiguous instant)")
        }
        return failed
    }

    /// Each announcement of a consultation or job is one occasion for its customer, and the newest one is never missing.
    mutating func occasions(_ pool: PostgresPool) async throws {
        for row in try await pool.query(
            """
            select s.kind, s.id, s.sequence, n.sequence as told, count(n.id) as notices
            from (
                select 'consultation' as kind, id, sequence, customer_email from consultations
                union all select 'job', id, sequence, customer_email from jobs
            ) s left join notifications n
                on n.subject_kind = s.kind and n.subject_id = s.id and lower(n.recipient) = lower(s.customer_email)
            where s.customer_email is not null and s.sequence > 0
            group by 1, 2, 3, 4 having count(n.id) <> 1
            """)
        {
            let (kind, id, sequence, told, notices) = try row.decode(
                String.self, String.self, Int.self, Int?.self, Int.self)
            violate(
                notices == 0
                    ? "lost: the customer of \(kind) \(id) was told nothing of \(sequence) announcements"
                    : "duplicate: \(notices) notices of announcement \(told ?? 0) of \(kind) \(id)")
        }
        for row in try await pool.query(
            """
            select s.kind, s.id, s.sequence, max(n.sequence) as told, count(distinct n.sequence) as number
            from (
                select 'consultation' as kind, id, sequence, customer_email from consultations
                union all select 'job', id, sequence, customer_email from jobs
            ) s join notifications n
                on n.subject_kind = s.kind and n.subject_id = s.id and lower(n.recipient) = lower(s.customer_email)
            group by 1, 2, 3 having max(n.sequence) <> s.sequence
                or (s.kind = 'consultation' and count(distinct n.sequence) <> s.sequence)
            """)
        {
            let (kind, id, sequence, told, number) = try row.decode(
                String.self, String.self, Int.self, Int.self, Int.self)
            violate(
                "lost: \(kind) \(id) had \(sequence) announcements, its customer was told \(number), the last one \(told)"
            )
        }
    }

    /// The text between the angle brackets, if there are any.
    static func bare(_ messageID: String) -> String {
        messageID.trimmingCharacters(in: CharacterSet(charactersIn: "<> \t\r\n"))
    }
}
