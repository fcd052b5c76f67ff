package import Foundation
import Messaging
package import Postgres

/// What the database knows about the message of a letter and about what the message is about.
package struct LetterFacts: Hashable, Sendable {
    /// A consultation or a job.
    package struct Subject: Hashable, Sendable {
        /// `consultation` or `job`.
        package var kind: String
        package var id: String
        package var state: String
        package var sequence: Int
        package var startsAt: Date
        package var endsAt: Date
        /// What people call it, such as `J-2027-00042`; nil if it has no such name.
        package var number: String?
    }

    /// When the worker that the letter was for handled the message; nil if it never did.
    package var handledAt: Date?
    package var subject: Subject?
    /// What can be said of a replay from this alone; nil leaves it to a shadow run.
    package var verdict: ReplayVerdict?

    package init() {}

    /// The worker's role in the inbox, by the name of one of its queues.
    package static func role(ofQueue queue: String) -> String {
        String(queue.prefix { $0 != "." })
    }

    /// Reads the facts.
    ///
    /// - Throws: `PostgresError`.
    package static func read(
        for letter: DeadLetter, now: Date = Date(), on pool: PostgresPool
    ) async throws -> LetterFacts {
        var facts = LetterFacts()
        let role = role(ofQueue: letter.queue)
        facts.handledAt = try await pool.query(
            "select handled_at from inbox where consumer = \(role) and message_id = \(letter.messageID)"
        ).first.map { try $0.decode("handled_at") }
        let body = (try? letter.effectiveBody()).flatMap { try? JSONParser.parse($0) } ?? .null
        var later: String?
        var isApplied: String?
        switch letter.type {
        case "notification.send":
            let row = try await pool.query(
                "select status, subject_kind, subject_id from notifications where id = \(body.text("/notification") ?? "")"
            ).first
            if let row {
                facts.subject = try await subject(
                    row.decode("subject_kind"), row.decode("subject_id", as: String.self), pool)
                switch try row.decode("status", as: String.self) {
                case "sent": isApplied = "the notice was sent"
                case "superseded": later = "a newer notice has gone to the same person"
                default: break
                }
            }
        case "job.create", "job.reschedule", "job.cancel":
            (facts.subject, isApplied, later) = try await command(letter.type, body, pool)
        case let type where type.hasPrefix("calendly."):
            (facts.subject, later) = try await webhook(type, body, pool)
        case let type where type.hasPrefix("consultation.") || type.hasPrefix("job."):
            let kind = String(type.prefix { $0 != "." })
            facts.subject = try await subject(kind, body.text("/\(kind)") ?? "", pool)
            if let subject = facts.subject, let sequence = body.integer("/sequence"), sequence < subject.sequence {
                later = "it tells of change \(sequence), and the \(kind) has reached change \(subject.sequence)"
            }
        default: break
        }
        facts.verdict = verdict(facts, isApplied: isApplied, later: later, type: letter.type, body: body, now: now)
        return facts
    }

    private static func verdict(
        _ facts: LetterFacts, isApplied: String?, later: String?, type: String, body: JSONValue, now: Date
    ) -> ReplayVerdict? {
        if let handledAt = facts.handledAt {
            return .alreadyApplied("the inbox has its receipt, of \(Instant.text(handledAt))")
        }
        if let isApplied { return .alreadyApplied(isApplied) }
        if let later { return .superseded(later) }
        // Moving a visit that is over to a new time is what a reschedule may be for.
        if type == "job.reschedule" { return nil }
        let end =
            facts.subject?.endsAt
            ?? ["/payload/scheduled_event/end_time", "/visit/ends_at", "/request/starts_at"]
            .compactMap { body.text($0).flatMap(Instant.parse) }.first
        if let end, end < now { return .tooLate("the visit's time, \(Instant.text(end)), has passed") }
        return nil
    }

    // MARK: What the message is about

    private static func subject(_ kind: String, _ id: String, _ pool: PostgresPool) async throws -> Subject? {
        let columns: SQL
        switch kind {
        case "consultation":
            columns = "null::text as number, coalesce(merged_into, id) as id, state from consultations"
        case "job": columns = "number, id, state from jobs"
        default: return nil
        }
        return try await pool.query("select sequence, starts_at, ends_at, \(columns) where id = \(id)").first.map {
            Subject(
                kind: kind, id: try $0.decode("id"), state: try $0.decode("state"),
                sequence: try $0.decode("sequence"), startsAt: try $0.decode("starts_at"),
                endsAt: try $0.decode("ends_at"), number: try $0.decode("number", as: String?.self))
        }
    }

    private static func command(
        _ type: String, _ body: JSONValue, _ pool: PostgresPool
    ) async throws -> (Subject?, isApplied: String?, later: String?) {
        let operation = try await pool.query(
            "select status, subject_id from operations where id = \(body.text("/context/operation") ?? "")"
        ).first
        let id = try body.text("/job") ?? operation?.decode("subject_id", as: String?.self) ?? ""
        let subject = try await subject("job", id, pool)
        if let status = try operation?.decode("status", as: String.self), status != "pending" {
            return (subject, "the request was answered before: it \(status)", nil)
        }
        guard let subject, type != "job.create" else { return (subject, nil, nil) }
        if ["canceled", "completed"].contains(subject.state) { return (subject, nil, "the job is \(subject.state)") }
        return (subject, nil, nil)
    }

    private static func webhook(
        _ type: String, _ body: JSONValue, _ pool: PostgresPool
    ) async throws -> (Subject?, later: String?) {
        if let consultation = body.text("/consultation") {
            return (try await subject("consultation", consultation, pool), nil)
        }
        let uri = body.text("/payload/invitee") ?? body.text("/payload/uri") ?? ""
        let row = try await pool.query(
            """
            select consultation_id, canceled, rescheduled, is_placeholder from calendly_invitees where uri = \(uri)
            """
        ).first
        guard let row else { return (nil, nil) }
        let subject = try await subject("consultation", row.decode("consultation_id", as: String.self), pool)
        if type == "calendly.invitee.created", try row.decode("canceled") {
            return (
                subject,
                try row.decode("rescheduled")
                    ? "the customer has moved this booking to another time" : "this booking was canceled afterwards"
            )
        }
        return (subject, nil)
    }
}

extension JSONValue {
    fileprivate func text(_ pointer: String) -> String? {
        guard let pointer = JSONPointer(pointer), case .string(let text)? = value(at: pointer) else { return nil }
        return text.utf8.contains(0) ? nil : text
    }

    fileprivate func integer(_ pointer: String) -> Int? {
        guard let pointer = JSONPointer(pointer), case .number(let text)? = value(at: pointer) else { return nil }
        return Int(text)
    }
}
