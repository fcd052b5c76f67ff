import Calendly
import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import SyncWorker
import TestSupport
import Testing
import WorkerRuntime

@Suite(.timeLimit(.minutes(3))) struct SyncHandlerTests {
    private static let bookedA = InviteeWebhook.created("A", startsAt: 0, at: 0)
    private static let movedA = InviteeWebhook.canceled("A", new: "B", startsAt: 0, at: 60)
    private static let createdB = InviteeWebhook.created("B", old: "A", startsAt: 500, at: 60)

    // MARK: - The stored deliveries

    @Test func theFixturesEndInTheSameRowsHoweverTheyArrive() async throws {
        let bodies = try CalendlyFixture.deliveries().map(\.body)
        var reference: [String] = []
        try await SyncBench.run { bench in
            for body in bodies { #expect(try await bench.deliver(body) != nil) }
            reference = try await bench.outcome()
            let states = try await bench.column("select state from consultations order by state")
            #expect(states == Array(repeating: "booked", count: 6) + ["canceled", "canceled", "no_show"])
            #expect(try await bench.count("calendly_unhandled") == 1)
        }
        let shuffles = (0..<4).map { _ in (bodies + bodies + bodies).shuffled() }
        var swapped = bodies
        swapped.swapAt(4, 5)
        for (run, order) in ([Array((bodies + bodies + bodies).reversed()), swapped + swapped + swapped] + shuffles)
            .enumerated()
        {
            try await SyncBench.run { bench in
                for (index, body) in order.enumerated() {
                    // In every other run the inbox keeps the repetitions out, as it normally does.
                    try await bench.deliver(body, suffix: run % 2 == 0 ? "" : "\(index)")
                }
                #expect(try await bench.outcome() == reference)
            }
        }
    }

    @Test func whatIsStoredReadsBackExactly() async throws {
        try await SyncBench.run { bench in
            for delivery in try CalendlyFixture.deliveries() {
                try await bench.deliver(delivery.body)
                // Had anything changed on the way through the database, the second time would change a row.
                let again = try await bench.deliver(delivery.body, suffix: "again")
                if !delivery.name.hasPrefix("11") {
                    #expect(again == .ignored(reason: "nothing new"), "\(delivery.name)")
                }
            }
            #expect(try await bench.column("select max(version)::text from consultations") == ["2"])
        }
    }

    @Test func aBookingTellsEverythingThatIsKnownOfIt() async throws {
        try await SyncBench.run { bench in
            #expect(try await bench.deliver(CalendlyFixture.delivery("02")) == .done)
            let sent = try await bench.announcements()
            #expect(sent.map(\.type) == [.consultationBooked])
            let event = try #require(sent.first?.event)
            #expect(event.kind == .commercial)
            #expect(
                event.customer
                    == Person(name: "Ruth Halvorsen", email: "r.halvorsen@example.com", phone: "+1 937-555-0142"))
            #expect(event.answers["square_footage"] == "62,000")
            #expect(event.answers["Site Contact Phone"] == "+1 937-555-0163")
            #expect(event.hosts.map(\.name) == ["Priya Raman", "Dana Neff"])
            #expect(event.visit.timeZone == "America/New_York")
            #expect(event.cancelURL?.hasPrefix("https://calendly.com/cancellations/") == true)
            let log = try await bench.column("select change_type || ' ' || source || ' ' || subject_id from change_log")
            #expect(log == ["created calendly_webhook \(event.consultation)"])
        }
    }

    // MARK: - Reschedules

    @Test(arguments: [false, true]) func aRescheduleIsOneMessageInEitherOrder(newHalfFirst: Bool) async throws {
        try await SyncBench.run { bench in
            try await bench.deliver(Self.bookedA)
            for body in newHalfFirst ? [Self.createdB, Self.movedA] : [Self.movedA, Self.createdB] {
                try await bench.deliver(body)
            }
            let sent = try await bench.announcements()
            #expect(sent.map(\.type) == [.consultationBooked, .consultationRescheduled])
            #expect(sent.map(\.event.sequence) == [1, 2])
            #expect(Set(sent.map(\.event.consultation)).count == 1)
            #expect(sent.last?.event.previousVisit?.startsAt == InviteeWebhook.instant(10_000))
            #expect(sent.last?.event.visit.startsAt == InviteeWebhook.instant(10_500))
            #expect(try await bench.column("select state from consultations") == ["booked"])
            #expect(try await bench.count("calendly_invitees") == 2)
        }
    }

    @Test func halfARescheduleIsMarkedForAttentionAfterTheWait() async throws {
        try await SyncBench.run { bench in
            try await bench.deliver(Self.bookedA)
            try await bench.deliver(Self.movedA)
            try await bench.deliver(Self.movedA, suffix: "again")
            let due = try await bench.pool.query(
                "select message_id, type, routing_key, body, available_at, correlation_id from outbox where exchange = 'commands'"
            )
            #expect(due.count == 1)
            let row = try #require(due.first)
            #expect(try row.decode("available_at", as: Date.self) == bench.now.addingTimeInterval(900))
            #expect(try row.decode("routing_key", as: String.self) == "calendly.reschedule_due")
            #expect(try await bench.announcements().map(\.type) == [.consultationBooked])

            let reminder = Envelope(
                id: try row.decode("message_id"), type: .rescheduleDue, timestamp: bench.now,
                body: try row.decode("body"))
            #expect(try await bench.handle(reminder) == .done)
            #expect(
                try await bench.column("select change_type from change_log order by id") == [
                    "created", "status_changed", "note_added",
                ])
            #expect(try await bench.column("select state from consultations") == ["rescheduling"])

            // The new half makes it whole however late it comes, and a reminder after that finds nothing to do.
            try await bench.deliver(Self.createdB)
            #expect(try await bench.announcements().map(\.type) == [.consultationBooked, .consultationRescheduled])
            var late = reminder
            late.id = "late"
            #expect(try await bench.handle(late) == .ignored(reason: "the reschedule is complete"))
        }
    }

    @Test func nobodyOutsideCanSendTheReminder() async throws {
        try await SyncBench.run { bench in
            let body = Array(#"{"event":"reschedule_due","payload":{}}"#.utf8)
            let outcome = try await bench.deliver(body)
            #expect(outcome == .ignored(reason: "no rule for this event"))
            #expect(try await bench.column("select event from calendly_unhandled") == ["reschedule_due"])
        }
    }

    @Test func twoConsultationsThatAreOneAreMerged() async throws {
        try await SyncBench.run { bench in
            try await bench.deliver(Self.bookedA)
            try await bench.deliver(InviteeWebhook.created("C", old: "B", startsAt: 900, at: 120))
            #expect(try await bench.count("consultations") == 2)
            try await bench.deliver(Self.createdB)
            let sent = try await bench.announcements()
            #expect(sent.map(\.type) == [.consultationBooked, .consultationBooked, .consultationCanceled])
            #expect(sent[2].event.consultation == sent[0].event.consultation)
            #expect(sent[2].event.mergedInto == sent[1].event.consultation)
            #expect(
                try await bench.column("select distinct consultation_id from calendly_invitees")
                    == [sent[1].event.consultation.rawValue])
            #expect(
                try await bench.column("select id from consultations where merged_into is null") == [
                    sent[1].event.consultation.rawValue
                ])
            // What comes later about the merged one goes to the one that stands.
            try await bench.deliver(Self.movedA)
            #expect(try await bench.announcements().count == 3)
        }
    }

    // MARK: - Cancellations and no-shows

    @Test func aTombstoneOutlivesALateBooking() async throws {
        try await SyncBench.run { bench in
            try await bench.deliver(CalendlyFixture.delivery("03"))
            try await bench.deliver(CalendlyFixture.delivery("01"))
            let sent = try await bench.announcements()
            #expect(sent.map(\.type) == [.consultationCanceled])
            #expect(sent.first?.event.canceledBy == "Marcus Bell")
            #expect(sent.first?.event.reason == "Going with a neighbor's contractor")
            #expect(try await bench.column("select state from consultations") == ["canceled"])
            #expect(try await bench.column("select canceled::text from calendly_invitees") == ["true"])
        }
    }

    @Test func aNoShowIsMarkedAndClearedOnce() async throws {
        func noShow(_ event: String) -> [UInt8] {
            var webhook = InviteeWebhook("A")
            webhook.noShow = ("N", 100)
            webhook.sentAt = 101
            return webhook.body(event)
        }
        try await SyncBench.run { bench in
            try await bench.deliver(Self.bookedA)
            for event in ["invitee_no_show.created", "invitee_no_show.deleted", "invitee_no_show.created"] {
                try await bench.deliver(noShow(event))
                try await bench.deliver(noShow(event), suffix: "again")
            }
            #expect(
                try await bench.announcements().map(\.type) == [
                    .consultationBooked, .consultationNoShowMarked, .consultationNoShowCleared,
                ])
            #expect(try await bench.column("select state from consultations") == ["booked"])
        }
    }

    @Test func aNoShowThatOvertakesItsBookingAnnouncesBoth() async throws {
        var webhook = InviteeWebhook("A")
        webhook.noShow = ("N", 100)
        webhook.sentAt = 101
        let marked = webhook.body("invitee_no_show.created")
        var outcomes: [[String]] = []
        for order in [[Self.bookedA, marked], [marked, Self.bookedA]] {
            try await SyncBench.run { bench in
                for body in order { try await bench.deliver(body) }
                let sent = try await bench.announcements()
                #expect(sent.map(\.type) == [.consultationBooked, .consultationNoShowMarked])
                #expect(sent.map(\.event.sequence) == [1, 2])
                #expect(sent.allSatisfy { $0.event.customer.email == "pat@example.com" })
                #expect(try await bench.column("select announced_state from consultations") == ["no_show"])
                outcomes.append(try await bench.outcome())
            }
        }
        #expect(outcomes.first == outcomes.last)
    }

    // MARK: - Hints

    @Test func aStaleDeliveryIsAHintThatAValidOneReplaces() async throws {
        try await SyncBench.run { bench in
            try await bench.deliver(Self.bookedA, .stale)
            #expect(try await bench.column("select is_hint::text from calendly_invitees") == ["true"])
            #expect(try await bench.announcements().map(\.type) == [.consultationBooked])
            try await bench.deliver(Self.bookedA, .valid)
            #expect(try await bench.column("select is_hint::text from calendly_invitees") == ["false"])
            #expect(try await bench.announcements().count == 1)
        }
    }

    @Test func aStaleCancellationDoesNotUndoSomethingNewer() async throws {
        try await SyncBench.run { bench in
            try await bench.deliver(InviteeWebhook.created("A", at: 50))
            try await bench.deliver(InviteeWebhook.canceled("A", at: 40), .stale)
            #expect(try await bench.column("select state from consultations") == ["booked"])
            #expect(try await bench.announcements().map(\.type) == [.consultationBooked])
            try await bench.deliver(InviteeWebhook.canceled("A", at: 40), .valid)
            #expect(try await bench.column("select state from consultations") == ["canceled"])
        }
    }

    // MARK: - What is not acted on

    @Test func unknownEventsAndSubmissionsAreKept() async throws {
        try await SyncBench.run { bench in
            let body = Array(#"{"event":"contact.created","payload":{"uri":"C"}}"#.utf8)
            #expect(try await bench.deliver(body) == .ignored(reason: "no rule for this event"))
            #expect(try await bench.deliver(body) == nil)
            try await bench.deliver(CalendlyFixture.delivery("11"))
            // JSON that is no webhook was signed all the same.
            let odd = Envelope(
                id: "odd", type: .calendly("unknown"), timestamp: bench.now, signature: .valid, body: Array("[1]".utf8))
            #expect(try await bench.handle(odd) == .ignored(reason: "no rule for this event"))
            #expect(
                try await bench.column("select event from calendly_unhandled order by event") == [
                    "", "contact.created", "routing_form_submission.created",
                ])
            #expect(
                try await bench.column("select convert_from(body, 'UTF8') from calendly_unhandled where event = ''")
                    == ["[1]"])
            #expect(try await bench.count("outbox") == 0)
        }
    }

    @Test func aKnownEventThatCannotBeUnderstoodIsDeadLetteredWithItsPath() async throws {
        try await SyncBench.run { bench in
            let text = String(decoding: Self.bookedA, as: UTF8.self)
            let body = Array(text.replacing("\"start_time\"", with: "\"begin_time\"").utf8)
            let outcome = try await bench.deliver(body)
            #expect(outcome == .deadLetter(code: "decode", detail: "payload.scheduled_event.start_time: missing"))
            let garbage = Envelope(
                id: "g", type: .calendly("unknown"), timestamp: bench.now, signature: .valid, body: [0xFF])
            #expect(try await bench.handle(garbage) == .deadLetter(code: "decode", detail: "not JSON"))
            for table in ["consultations", "calendly_invitees", "calendly_unhandled", "outbox", "change_log", "inbox"] {
                #expect(try await bench.count(table) == 0, "\(table)")
            }
        }
    }

    // MARK: - Kinds

    @Test func theKindFollowsTheConfiguredEventTypes() async throws {
        try await SyncBench.run { bench in
            try await bench.deliver(CalendlyFixture.delivery("10"))
            #expect(try await bench.column("select kind from consultations") == ["triage"])
            _ = try await bench.pool.query(
                """
                update consultation_types set event_types = array(select event_type from consultations)
                where kind = 'maintenance'
                """)
            try await bench.deliver(CalendlyFixture.delivery("10"), suffix: "again")
            #expect(try await bench.column("select kind from consultations") == ["maintenance"])
        }
    }
}
