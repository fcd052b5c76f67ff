import Foundation
import Messaging
package import Postgres

/// Puts a story together from the tables of all services. It only reads, in one snapshot.
///
/// Messages leave the outbox once the broker has confirmed them, and the inbox keeps only their ids. But the id of each
/// message follows from that of the message before it, so the receipts of messages long gone are found by working out which
/// ids there can be.
package struct StoryReader: Sendable {
    private let transaction: Transaction
    private var story: Story
    private var correlations: Set<String> = []
    private var messages: [String: String] = [:]
    private var subjects: Set<String> = []
    private var firstReceived: [String: Date] = [:]

    /// Reads the story of a message, correlation, consultation, job, operation, notification or dead letter.
    ///
    /// - Returns: nil if nothing is known of the id.
    /// - Throws: `PostgresError`.
    package static func read(_ id: String, in pool: PostgresPool) async throws -> Story? {
        try await pool.withTransaction(isolation: .repeatableRead, readOnly: true) { transaction in
            var reader = StoryReader(transaction: transaction, story: Story(id: id))
            try await reader.find(id)
            try await reader.readEffects(of: id)
            try await reader.readReceipts()
            try await reader.readStates()
            return reader.finished()
        }
    }

    private init(transaction: Transaction, story: Story) {
        self.transaction = transaction
        self.story = story
    }

    private mutating func finished() -> Story? {
        guard !story.chapters.isEmpty else { return nil }
        for (correlation, at) in firstReceived {
            story.chapters.append(
                Story.Chapter(
                    at: at, kind: .received, service: "ingress", text: "received", message: correlation,
                    correlation: correlation))
        }
        story.chapters.sort { left, right in
            // How things stand now comes last, and of one instant the cause before the effect.
            func key(_ chapter: Story.Chapter) -> (Int, Date, Int, String, String) {
                let isState = chapter.kind == .state ? 1 : 0
                let rank = Story.Kind.allCases.firstIndex(of: chapter.kind) ?? 0
                return (isState, chapter.at ?? .distantFuture, rank, chapter.service, chapter.text)
            }
            return key(left) < key(right)
        }
        story.correlations = correlations.sorted()
        story.subjects = subjects.sorted()
        story.traces = Set(story.chapters.compactMap(\.trace)).sorted()
        return story
    }

    // MARK: - What the id is

    /// Finds the correlations that an id leads to. One that is not known otherwise may itself be a correlation.
    private mutating func find(_ id: String) async throws {
        let rows = try await transaction.query(
            """
            select message_id as id from operations where id = \(id) or subject_id = \(id)
            union select correlation_id from outbox where message_id = \(id)
            union select correlation_id from spool where message_id = \(id)
            union select correlation_id from dead_letters where id = \(id) or message_id = \(id)
            union select correlation_id from notifications where id = \(id) or message_id = \(id) or subject_id = \(id)
            union select correlation_id from change_log where subject_id = \(id) or request_id = \(id)
            """)
        correlations = Set(try rows.compactMap { try $0.decode("id", as: String?.self) })
        if correlations.isEmpty { correlations = [id] }
        for correlation in correlations { messages[correlation] = "the first message" }
        messages[id] = messages[id] ?? "the message"
    }

    // MARK: - Rows that say what they follow from

    private mutating func readEffects(of id: String) async throws {
        let correlations = correlations.sorted()
        let results = try await transaction.pipeline([
            """
            select at, subject_id, change_type, source, reason, request_id, correlation_id, trace_id from change_log
            where correlation_id = any(\(correlations)::text[]) or subject_id = \(id) order by id
            """,
            """
            select id, occasion, template, channel, status, attempts, ambiguous, error_code, subject_id, message_id,
                correlation_id, trace_id, received_at, created_at, sent_at
            from notifications
            where correlation_id = any(\(correlations)::text[]) or subject_id = \(id) or id = \(id) order by created_at, id
            """,
            """
            select id, route, status, http_status, subject_id, message_id, created_at, finished_at from operations
            where message_id = any(\(correlations)::text[]) or id = \(id) order by created_at
            """,
            """
            select 'outbox' as store, message_id, exchange, type, correlation_id, trace_parent, received_at, created_at,
                available_at
            from outbox where correlation_id = any(\(correlations)::text[])
            union all
            select 'spool', message_id, exchange, type, correlation_id, trace_parent, received_at, created_at, created_at
            from spool where correlation_id = any(\(correlations)::text[]) order by created_at
            """,
            """
            select id, queue, message_id, type, correlation_id, reason, error_code, attempt_count, status, died_at,
                resolved_at, headers ->> 'traceparent' as trace_parent
            from dead_letters
            where correlation_id = any(\(correlations)::text[]) or message_id = any(\(correlations)::text[]) or id = \(id)
            order by died_at
            """,
        ])
        for row in results[0] { try add(change: row) }
        for row in results[1] { try add(notification: row) }
        for row in results[2] { try add(operation: row) }
        for row in results[3] { try add(stored: row) }
        for row in results[4] { try add(deadLetter: row) }
    }

    private mutating func add(change row: Row) throws {
        let subject = try row.decode("subject_id", as: String.self)
        let message = try row.decode("request_id", as: String?.self)
        let source = try row.decode("source", as: String.self)
        subjects.insert(subject)
        // What customers and staff typed is theirs; what the system says of itself is not.
        let isOurs = source == "scheduler" || source == "system"
        let reason = isOurs ? try row.decode("reason", as: String?.self).map { ": \($0)" } ?? "" : ""
        let type = try row.decode("change_type", as: String.self)
        // Commands carry the request's id there, which is no message's.
        if isOurs || source == "calendly_webhook", let message {
            messages[message] = messages[message] ?? "the message"
        }
        story.chapters.append(
            Story.Chapter(
                at: try row.decode("at"), kind: .change,
                service: source == "calendly_webhook" ? "sync" : "scheduling",
                text: "\(type.replacing("_", with: " "))\(reason)", message: message,
                correlation: try row.decode("correlation_id"), trace: try row.decode("trace_id"),
                subject: subject))
    }

    private mutating func add(notification row: Row) throws {
        let subject = try row.decode("subject_id", as: String.self)
        let correlation = try row.decode("correlation_id", as: String?.self)
        let event = try row.decode("message_id", as: String?.self)
        let id = try row.decode("id", as: String.self)
        subjects.insert(subject)
        if let correlation { firstReceived[correlation] = try row.decode("received_at") }
        if let event {
            messages[event] = try row.decode("occasion", as: String.self).split(separator: "/").first.map(
                String.init)
            messages[MessageID.derived(from: event, MessageType.sendNotification.rawValue, id)] =
                "notification.send"
        }
        let status = try row.decode("status", as: String.self)
        let template = try row.decode("template", as: String.self)
        func chapter(_ at: Date, _ text: String) throws -> Story.Chapter {
            Story.Chapter(
                at: at, kind: .notification, service: "notification", text: "\(id) \(template) \(text)",
                message: event,
                correlation: correlation, trace: try row.decode("trace_id"), subject: subject)
        }
        story.chapters.append(try chapter(row.decode("created_at"), "planned"))
        let error = try row.decode("error_code", as: String?.self).map { " (\($0))" } ?? ""
        if let sentAt = try row.decode("sent_at", as: Date?.self) {
            let doubt = try row.decode("ambiguous", as: Bool.self) ? ", possibly twice" : ""
            story.chapters.append(try chapter(sentAt, "sent\(doubt)"))
        } else if status != "planned" || !error.isEmpty {
            var open = try chapter(row.decode("created_at"), "\(status)\(error)")
            open.at = nil
            story.chapters.append(open)
        }
    }

    private mutating func add(operation row: Row) throws {
        let id = try row.decode("id", as: String.self)
        let message = try row.decode("message_id", as: String.self)
        let subject = try row.decode("subject_id", as: String?.self)
        if let subject { subjects.insert(subject) }
        let createdAt = try row.decode("created_at", as: Date.self)
        firstReceived[message] = createdAt
        let route = try row.decode("route", as: String.self)
        story.chapters.append(
            Story.Chapter(
                at: createdAt, kind: .operation, service: "ingress", text: "\(id) \(route)",
                message: message,
                correlation: message, subject: subject))
        guard let finishedAt = try row.decode("finished_at", as: Date?.self) else { return }
        let status = try row.decode("http_status", as: Int?.self).map { " with \($0)" } ?? ""
        story.chapters.append(
            Story.Chapter(
                at: finishedAt, kind: .operation, service: "scheduling",
                text: "\(id) \(try row.decode("status", as: String.self))\(status)", message: message,
                correlation: message, subject: subject))
    }

    private mutating func add(stored row: Row) throws {
        let store = try row.decode("store", as: String.self)
        let type = try row.decode("type", as: String.self)
        let message = try row.decode("message_id", as: String.self)
        let correlation = try row.decode("correlation_id", as: String.self)
        messages[message] = type
        firstReceived[correlation] = try row.decode("received_at")
        let createdAt = try row.decode("created_at", as: Date.self)
        let availableAt = try row.decode("available_at", as: Date.self)
        let waits =
            availableAt > createdAt.addingTimeInterval(1)
            ? ", not before \(Instant.text(availableAt))" : ""
        story.chapters.append(
            Story.Chapter(
                at: createdAt, kind: store == "spool" ? .spooled : .outbox, service: "relay",
                text: "\(type) waits to be published\(waits)", message: message, correlation: correlation,
                trace: Self.traceID(try row.decode("trace_parent"))))
    }

    private mutating func add(deadLetter row: Row) throws {
        let id = try row.decode("id", as: String.self)
        let type = try row.decode("type", as: String.self)
        let message = try row.decode("message_id", as: String.self)
        messages[message] = type
        let code = try row.decode("error_code", as: String?.self).map { " (\($0))" } ?? ""
        func chapter(_ at: Date, _ text: String) throws -> Story.Chapter {
            Story.Chapter(
                at: at, kind: .deadLetter, service: try row.decode("queue"), text: "\(id) \(type) \(text)",
                message: message, correlation: try row.decode("correlation_id"),
                trace: Self.traceID(try row.decode("trace_parent")))
        }
        let attempts = try row.decode("attempt_count", as: Int.self)
        let reason = try row.decode("reason", as: String.self)
        story.chapters.append(
            try chapter(row.decode("died_at"), "given up after \(attempts) attempts, \(reason)\(code)"))
        if let resolvedAt = try row.decode("resolved_at", as: Date?.self) {
            story.chapters.append(try chapter(resolvedAt, row.decode("status")))
        }
    }

    // MARK: - Messages that are gone

    /// Messages that can follow from another one about a consultation or a job.
    private static let followers: [MessageType] = [
        .consultationBooked, .consultationRescheduled, .consultationCanceled, .consultationNoShowMarked,
        .consultationNoShowCleared, .consultationAssigned, .consultationReleased,
        .consultationUnassigned,
        .jobScheduled, .jobRescheduled, .jobCanceled,
    ]

    private mutating func readReceipts() async throws {
        // A webhook, what it changed, and who was found for it: messages about a thing come at most this deep.
        var generation = Array(messages.keys)
        for _ in 0..<3 {
            var children: [String: String] = [:]
            for parent in generation {
                for subject in subjects {
                    for type in Self.followers {
                        children[MessageID.derived(from: parent, type.rawValue, subject)] = type.rawValue
                    }
                }
            }
            let known = try await receipts(of: children.keys.filter { messages[$0] == nil })
            for row in known {
                let id = try row.decode("message_id", as: String.self)
                messages[id] = children[id]
            }
            generation = try known.map { try $0.decode("message_id", as: String.self) }
            if generation.isEmpty { break }
        }
        for row in try await receipts(of: Array(messages.keys)) {
            let id = try row.decode("message_id", as: String.self)
            let type = messages[id] ?? "the message"
            story.chapters.append(
                Story.Chapter(
                    at: try row.decode("handled_at"), kind: .handled, service: try row.decode("consumer"),
                    text: "\(type) handled", message: id))
        }
    }

    private func receipts(of messages: [String]) async throws -> Rows {
        try await transaction.query(
            """
            select consumer, message_id, handled_at from inbox
            where consumer in ('sync', 'scheduling', 'notification') and message_id = any(\(messages)::text[])
            order by handled_at
            """)
    }

    // MARK: - How things stand

    private mutating func readStates() async throws {
        let ids = subjects.sorted()
        let rows = try await transaction.query(
            """
            select c.id, c.updated_at, 'consultation ' || c.state || ', ' || c.assignment
                || coalesce(' to ' || r.name, '') || coalesce(', merged into ' || c.merged_into, '') as text
            from consultations c left join resources r on r.id = c.assignee where c.id = any(\(ids)::text[])
            union all
            select j.id, j.updated_at, 'job ' || j.number || ' ' || j.state || coalesce(', ' || r.name, '')
            from jobs j left join resources r on r.id = j.crew where j.id = any(\(ids)::text[]) order by id
            """)
        for row in rows {
            let id = try row.decode("id", as: String.self)
            story.chapters.append(
                Story.Chapter(
                    at: try row.decode("updated_at"), kind: .state, service: "now",
                    text: "\(id) \(try row.decode("text", as: String.self))",
                    subject: id))
        }
    }

    private static func traceID(_ traceParent: String?) -> String? {
        traceParent.map { String($0.split(separator: "-").dropFirst().first ?? "") }
    }
}
