import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import TestSupport
import Testing
import Traces

/// The story of a webhook as the workers' rows tell it, after its messages have left the database.
@Suite(.timeLimit(.minutes(1))) struct StoryTests {
    private static let now = Date(timeIntervalSince1970: 1_803_902_400)
    private static let root = "webhook-1"
    private static let consultation = ConsultationID(digest: [UInt8](repeating: 7, count: 16))
    private static let booked = MessageID.derived(
        from: root, "consultation.booked", consultation.rawValue)
    private static let assigned = MessageID.derived(
        from: booked, "consultation.assigned", consultation.rawValue)

    /// Rows as sync, scheduling and notification leave them.
    private static func play(_ pool: PostgresPool) async throws -> NotificationID {
        try await TraceContext.$current.withValue(.root(isSampled: true)) {
            try await pool.withTransaction { transaction in
                func change(_ type: ChangeType, _ source: ChangeSource, _ message: String, _ reason: String)
                    async throws
                {
                    try await ChangeLog.append(
                        ChangeLogEntry(
                            at: now, subject: .consultation(consultation), change: type, actor: "test",
                            source: source,
                            reason: reason, requestID: message, correlationID: root), in: transaction)
                }
                _ = try await Inbox.insert(consumer: "sync", messageID: root, in: transaction)
                try await change(.created, .calendlyWebhook, root, "typed by Pat Example")
                _ = try await Inbox.insert(consumer: "scheduling", messageID: booked, in: transaction)
                try await change(.crewChanged, .scheduler, booked, "Lee is taken.")
                for message in [booked, assigned] {
                    _ = try await Inbox.insert(consumer: "notification", messageID: message, in: transaction)
                }
                _ = try await transaction.query(
                    """
                    insert into consultations (id, kind, state, customer_name, starts_at, ends_at, time_zone,
                        current_invitee)
                    values (\(consultation.rawValue), 'residential', 'booked', 'Pat Example', \(now), \(now + 3600),
                        'America/New_York', 'i')
                    """)
                let facts = NoticeFacts(
                    what: "visit", customerName: "Pat Example",
                    visit: Visit(startsAt: now, endsAt: now + 3600, timeZone: "America/New_York"),
                    invitation: .none)
                let event = Envelope(
                    id: booked, type: .consultationBooked, correlationID: root, timestamp: now,
                    receivedAt: now - 1, body: [])
                let planned = PlannedNotification(
                    occasion: "consultation.booked/\(consultation)/1", recipient: "pat@example.com",
                    recipientName: "Pat Example", template: "consultation_booked", subjectKind: .consultation,
                    subjectID: consultation.rawValue, sequence: 1, facts: facts)
                let id = try #require(
                    try await NotificationRepository.plan(
                        planned, mailDomain: "example.com", following: event, in: transaction))
                _ = try await transaction.query(
                    "update notifications set status = 'sent', sent_at = \(now + 2) where id = \(id.rawValue)"
                )
                _ = try await Inbox.insert(
                    consumer: "notification",
                    messageID: MessageID.derived(from: booked, "notification.send", id.rawValue),
                    in: transaction)
                // The rows' own clock is not that of the test.
                _ = try await transaction.query("update inbox set handled_at = \(now)")
                _ = try await transaction.query("update notifications set created_at = \(now)")
                return id
            }
        }
    }

    @Test func everyIdLeadsToTheSameStory() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let notification = try await Self.play(pool)
            let ids = [Self.root, Self.booked, Self.consultation.rawValue, notification.rawValue]
            var stories: [Story] = []
            for id in ids {
                stories.append(try #require(try await StoryReader.read(id, in: pool), "\(id)"))
            }
            for story in stories {
                #expect(story.correlations == [Self.root] && story.traces.count == 1)
                #expect(story.subjects == [Self.consultation.rawValue])
                #expect(story.chapters == stories[0].chapters)
            }
            let story = stories[0]
            // Received, three workers' receipts (the last of them for the mail), two changes, planned and sent, and now.
            #expect(story.chapters.first?.kind == .received && story.chapters.last?.kind == .state)
            let handled = story.chapters.filter { $0.kind == .handled }.map { "\($0.service) \($0.text)" }
            #expect(
                Set(handled) == [
                    "sync the first message handled", "scheduling consultation.booked handled",
                    "notification consultation.booked handled", "notification consultation.assigned handled",
                    "notification notification.send handled",
                ])
            #expect(
                Set(story.chapters.filter { $0.kind == .change }.map(\.service)) == ["sync", "scheduling"])
            #expect(story.chapters.filter { $0.kind == .notification }.count == 2)
            #expect(try #require(story.chapters.last).text.hasSuffix("consultation booked, pending"))
        }
    }

    @Test func aStoryTellsNothingOfThePerson() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            _ = try await Self.play(pool)
            let story = try #require(try await StoryReader.read(Self.root, in: pool))
            let text = String(decoding: try WireJSON.encode(story), as: UTF8.self)
            #expect(!text.contains("Pat") && !text.contains("pat@"))
            #expect(text.contains("Lee is taken."))
        }
    }

    @Test func whatStillWaitsIsToldToo() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let operation = OperationID.make(at: Self.now)
            let existing = try await Operations.insertPending(
                Operation(
                    id: operation, principal: "key", route: "POST /v1/jobs", idempotencyKey: "k",
                    requestHash: "h",
                    messageID: "command-1", createdAt: Self.now), in: pool)
            #expect(existing == nil)
            let command = Envelope(id: "command-1", type: .createJob, timestamp: Self.now, body: [])
            try await Spool.insert(OutgoingMessage(exchange: .commands, envelope: command), on: pool)
            _ = try await pool.query("update spool set created_at = \(Self.now)")
            for id in ["command-1", operation.rawValue] {
                let story = try #require(try await StoryReader.read(id, in: pool))
                #expect(story.correlations == ["command-1"])
                #expect(story.chapters.map(\.kind) == [.received, .operation, .spooled])
                #expect(story.chapters.last?.text == "job.create waits to be published")
            }
        }
    }

    @Test func nothingIsKnownOfAnIdThatThereIsNot() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            _ = try await Self.play(pool)
            #expect(try await StoryReader.read("no-such-id", in: pool) == nil)
        }
    }
}
