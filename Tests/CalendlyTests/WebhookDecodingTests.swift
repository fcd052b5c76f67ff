import Calendly
import Foundation
import TestSupport
import Testing

@Suite struct WebhookDecodingTests {
    private static func invitee(_ body: [UInt8]) throws -> (WebhookEnvelope.InviteeChange, InviteePayload) {
        let envelope = try WebhookEnvelope.decode(body)
        guard case .invitee(let change, let payload) = envelope.payload else {
            throw CocoaError(.coderInvalidValue)
        }
        return (change, payload)
    }

    /// A fixture with its JSON changed.
    private static func changed(_ prefix: String, _ change: (inout [String: Any]) throws -> Void) throws -> [UInt8] {
        let data = Data(try CalendlyFixture.delivery(prefix))
        var object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        try change(&object)
        return Array(try JSONSerialization.data(withJSONObject: object))
    }

    private static func changedPayload(_ prefix: String, _ change: (inout [String: Any]) -> Void) throws -> [UInt8] {
        try changed(prefix) { object in
            var payload = try #require(object["payload"] as? [String: Any])
            change(&payload)
            object["payload"] = payload
        }
    }

    // MARK: - The fixtures

    @Test func aPlainBooking() throws {
        let (change, payload) = try Self.invitee(CalendlyFixture.delivery("01"))
        #expect(change == .created)
        #expect(payload.uri.hasSuffix("/invitees/2f8d6c14-90ab-4e3d-b7c5-18a9f0e3d201"))
        #expect(payload.status == .active)
        #expect(payload.updatedAt?.text == "2027-03-09T15:04:05.131977Z")
        #expect(payload.scheduledEvent.startTime.text == "2027-03-16T13:00:00.000000Z")
        #expect(payload.tracking?.campaign == "spring-driveways")
        #expect(payload.scheduledEvent.location?.type == "ask_invitee")
        #expect(payload.cancellation == nil)
        #expect(payload.noShow == nil)
    }

    @Test func aBookingWithEverything() throws {
        let (_, payload) = try Self.invitee(CalendlyFixture.delivery("02"))
        #expect(payload.textReminderNumber == "+1 937-555-0142")
        #expect(
            payload.scheduledEvent.eventMemberships.map(\.email) == [
                "priya.raman@example.com", "dana.neff@example.com",
            ])
        #expect(payload.scheduledEvent.eventGuests.count == 2)
        #expect(payload.scheduledEvent.location?.additionalInfo == "Meet at the loading dock gate, hard hat required")
        #expect(payload.questionsAndAnswers[1].answer == "Parking lot overlay\nStriping\nDrainage")
    }

    @Test func cancellations() throws {
        let (byInvitee, first) = try Self.invitee(CalendlyFixture.delivery("03"))
        #expect(byInvitee == .canceled)
        #expect(first.status == .canceled)
        #expect(first.cancellation?.cancelerType == "invitee")
        #expect(first.cancellation?.createdAt?.text == "2027-03-12T23:41:09.664120Z")
        let (_, second) = try Self.invitee(CalendlyFixture.delivery("04"))
        #expect(second.cancellation?.reason == "")
        #expect(second.schedulingMethod == "api")
    }

    @Test func theTwoHalvesOfARescheduleLinkToEachOther() throws {
        let (_, old) = try Self.invitee(CalendlyFixture.delivery("05a"))
        let (_, new) = try Self.invitee(CalendlyFixture.delivery("05b"))
        #expect(old.rescheduled && !new.rescheduled)
        #expect(old.newInvitee == new.uri)
        #expect(new.oldInvitee == old.uri)
    }

    @Test func aNoShow() throws {
        let (change, payload) = try Self.invitee(CalendlyFixture.delivery("07"))
        #expect(change == .noShowMarked)
        #expect(payload.status == .active)
        #expect(payload.noShow?.createdAt?.text == "2027-03-23T15:41:01.884500Z")
    }

    @Test(arguments: [
        ("75.0", "75"), ("\"75.00\"", "75"), ("0.1", "0.1"), ("1234567.89", "1234567.89"), ("\"19.99\"", "19.99"),
        ("75", "75"),
    ])
    func anAmountIsExactAsNumberAndAsText(json: String, amount: String) throws {
        let text = String(decoding: try CalendlyFixture.delivery("08"), as: UTF8.self)
            .replacing("\"amount\": 75.0", with: "\"amount\": \(json)")
        let (_, payload) = try Self.invitee(Array(text.utf8))
        #expect(payload.payment?.amount == Decimal(string: amount))
        #expect(payload.payment?.currency == "USD")
        #expect(payload.reconfirmation?.confirmedAt == nil)
        #expect(payload.reconfirmation?.createdAt != nil)
        // What is stored as a snapshot reads back as the same.
        let stored = try JSONDecoder().decode(InviteePayload.self, from: Data(payload.canonicalText.utf8))
        #expect(stored == payload)
    }

    @Test func unicodeSurvives() throws {
        let (_, payload) = try Self.invitee(CalendlyFixture.delivery("09"))
        #expect(payload.name == "Zoë Núñez-O’Brien 李娜")
        #expect(payload.questionsAndAnswers[4].answer == "Emergency 🚧🕳️ — مستعجل")
        #expect(payload.updatedAt?.text == "2027-03-26T18:09:59.999999Z")
    }

    @Test func aSparseBooking() throws {
        let (_, payload) = try Self.invitee(CalendlyFixture.delivery("10"))
        #expect(payload.uri.hasSuffix("/HCNEFFPAVING0010"))
        #expect(payload.scheduledEvent.location == nil)
        #expect(payload.scheduledEvent.name == nil)
        #expect(payload.scheduledEvent.startTime.text == "2027-04-01T13:00:00.000000Z")
        #expect(payload.scheduledEvent.eventMemberships.map(\.name) == [nil])
        #expect(payload.questionsAndAnswers.isEmpty)
    }

    @Test func aRoutingFormSubmission() throws {
        let envelope = try WebhookEnvelope.decode(CalendlyFixture.delivery("11"))
        guard case .routingFormSubmission(let submission) = envelope.payload else {
            Issue.record("not a submission")
            return
        }
        #expect(submission.createdAt?.text == "2027-03-30T13:20:10.551000Z")
        #expect(
            submission.questionsAndAnswers.map(\.answer) == ["Commercial", "ops@example.com", "25,000 - 100,000", ""])
        guard case .eventType(let uri) = submission.result else {
            Issue.record("no event type")
            return
        }
        #expect(uri.contains("/event_types/"))
    }

    @Test func everySnapshotReadsBackAsItself() throws {
        for delivery in try CalendlyFixture.deliveries() where !delivery.name.hasPrefix("11") {
            let (_, payload) = try Self.invitee(delivery.body)
            let stored = try JSONDecoder().decode(InviteePayload.self, from: Data(payload.canonicalText.utf8))
            #expect(stored == payload, "\(delivery.name)")
        }
    }

    // MARK: - Tolerance

    @Test func unknownEventsAreUnhandledWhateverTheyCarry() throws {
        for payload in ["null", "5", "{}", #"{"uri":1}"#] {
            let envelope = try WebhookEnvelope.decode(
                Array(#"{"event":"contact.updated","payload":"#.utf8) + Array(payload.utf8) + Array("}".utf8))
            #expect(envelope.payload == .unhandled)
            #expect(envelope.event == "contact.updated")
        }
    }

    @Test func optionalThingsMayHaveAnyForm() throws {
        let required: Set<String> = ["uri", "scheduled_event"]
        let requiredOfEvent: Set<String> = ["uri", "start_time", "end_time"]
        let reference = try Self.invitee(CalendlyFixture.delivery("02")).1
        let strange: [Any] = [NSNull(), 5, "?", [Any](), ["k": "v"], [1, ["x": NSNull()]] as [Any], true]
        for value in strange {
            let body = try Self.changedPayload("02") { payload in
                for key in payload.keys where !required.contains(key) { payload[key] = value }
                guard var event = payload["scheduled_event"] as? [String: Any] else { return }
                for key in event.keys where !requiredOfEvent.contains(key) { event[key] = value }
                payload["scheduled_event"] = event
            }
            let payload = try Self.invitee(body).1
            #expect(payload.uri == reference.uri)
            #expect(payload.scheduledEvent.startTime == reference.scheduledEvent.startTime)
        }
        let bare = try Self.changedPayload("02") { payload in
            for key in payload.keys where !required.contains(key) { payload[key] = nil }
            guard let event = payload["scheduled_event"] as? [String: Any] else { return }
            payload["scheduled_event"] = event.filter { requiredOfEvent.contains($0.key) }
        }
        #expect(try Self.invitee(bare).1.scheduledEvent.uri == reference.scheduledEvent.uri)
    }

    @Test func unknownEnumValuesAreKept() throws {
        let body = try Self.changedPayload("01") { payload in
            payload["status"] = "tentative"
            guard var event = payload["scheduled_event"] as? [String: Any] else { return }
            event["location"] = ["type": "holodeck", "location": "Deck 5", "data": ["id": 7]] as [String: Any]
            payload["scheduled_event"] = event
        }
        let payload = try Self.invitee(body).1
        #expect(payload.status == .unknown("tentative"))
        #expect(payload.scheduledEvent.location?.type == "holodeck")
    }

    @Test func aNULCharacterIsDropped() throws {
        let text = String(decoding: try CalendlyFixture.delivery("01"), as: UTF8.self)
            .replacing("\"Marcus Bell\"", with: #""Marcus\u0000 Bell""#)
        #expect(try Self.invitee(Array(text.utf8)).1.name == "Marcus Bell")
    }

    // MARK: - What cannot be understood

    @Test(arguments: [
        ("uri", "payload.uri: missing"),
        ("scheduled_event", "payload.scheduled_event: missing"),
        ("scheduled_event/uri", "payload.scheduled_event.uri: missing"),
        ("scheduled_event/start_time", "payload.scheduled_event.start_time: missing"),
        ("scheduled_event/end_time", "payload.scheduled_event.end_time: missing"),
    ])
    func theErrorNamesThePathOfWhatIsMissing(path: String, message: String) throws {
        let parts = path.split(separator: "/").map(String.init)
        let body = try Self.changedPayload("01") { payload in
            if parts.count == 1 {
                payload[parts[0]] = nil
            } else {
                guard var event = payload[parts[0]] as? [String: Any] else { return }
                event[parts[1]] = nil
                payload[parts[0]] = event
            }
        }
        let error = try #require(throws: WebhookDecodingError.self) { try WebhookEnvelope.decode(body) }
        #expect(error.description == message)
    }

    @Test func theErrorQuotesNothingFromTheBody() throws {
        let body = try Self.changedPayload("01") { payload in
            guard var event = payload["scheduled_event"] as? [String: Any] else { return }
            event["start_time"] = "tomorrow at secret place"
            payload["scheduled_event"] = event
        }
        let error = try #require(throws: WebhookDecodingError.self) { try WebhookEnvelope.decode(body) }
        #expect(error.path == "payload.scheduled_event.start_time")
        #expect(!error.description.contains("secret"))
    }

    @Test func aVisitThatEndsBeforeItBeginsIsRefused() throws {
        let body = try Self.changedPayload("01") { payload in
            guard var event = payload["scheduled_event"] as? [String: Any] else { return }
            event["end_time"] = event["start_time"]
            payload["scheduled_event"] = event
        }
        let error = try #require(throws: WebhookDecodingError.self) { try WebhookEnvelope.decode(body) }
        #expect(error.path == "payload.scheduled_event.end_time")
    }

    @Test(arguments: ["", "{", "[]", "{\"event\":5}"])
    func whatIsNoWebhookIsRefused(text: String) {
        #expect(throws: WebhookDecodingError.self) { try WebhookEnvelope.decode(Array(text.utf8)) }
    }
}
