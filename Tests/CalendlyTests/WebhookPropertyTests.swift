import Foundation
import TestSupport
import Testing

@testable import Calendly

/// What must hold for any bytes whatever; see `counterexample` for how to try more of them.
@Suite(.timeLimit(.minutes(60))) struct WebhookPropertyTests {
    private static let tokens = [
        "{", "}", "[", "]", "\"", ":", ",", "\\", "\\u", "\\ud83d", "\\u0000", "null", "true", "false", "0", "-1",
        "1e9",
        "1e400", "0.1", "\"\"", "{}", "[]", "\"event\"", "\"payload\"", "\"uri\"", "\"no_show\"", "\"invitee.created\"",
        "\"invitee_no_show.created\"", "\"routing_form_submission.created\"", "\"start_time\"", "\"amount\"",
        "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:60.999999-23:59", "\u{0}",
    ]

    private static let fixtures = Result { try CalendlyFixture.deliveries().map(\.body) }

    /// What Foundation reads, or nil.
    private static func reference(_ body: [UInt8]) -> Any? {
        try? JSONSerialization.jsonObject(with: Data(body), options: [.fragmentsAllowed])
    }

    /// A webhook, most of the time as the standard has it.
    private static func webhook(_ random: inout SeededGenerator) -> [UInt8] {
        let event = random.oneIn(3) ? random.text() : random.pick(WebhookKind.allCases).rawValue
        var payload = ["\"uri\":" + random.jsonString(random.text()), "\"x\":" + random.json()]
        if random.oneIn(2) { payload.append("\"no_show\":{\"uri\":" + random.jsonString(random.text()) + "}") }
        let members = [
            "\"event\":" + random.jsonString(event), "\"created_at\":" + random.json(depth: 0),
            "\"payload\":{" + payload.shuffled(using: &random).joined(separator: ",") + "}", "\"y\":" + random.json(),
        ]
        return Array(("{" + members.shuffled(using: &random).joined(separator: ", ") + "}").utf8)
    }

    /// What the scanner takes for JSON is what Foundation takes for JSON, but for known differences: Foundation lets a comma
    /// stand before a closing bracket and NUL in a string, and takes NUL for a sign of UTF-16; it refuses numbers that no
    /// double holds, and half a surrogate pair.
    @Test func theScannerAgreesWithFoundationAboutWhatIsJSON() throws {
        let fixtures = try Self.fixtures.get()
        var refused = 0
        let found = counterexample(in: 6_000) { random in
            let whole = random.oneIn(4) ? random.pick(fixtures) : Self.webhook(&random)
            let body = random.damaged(whole, tokens: Self.tokens)
            var accepted = true
            if case .notJSON = Self.summaryError(body) {
                accepted = false
                refused += 1
            }
            guard accepted != (Self.reference(body) != nil) else { return nil }
            let text = String(decoding: body, as: UTF8.self)
            let isKnown =
                accepted
                ? text.contains(#/[eE]\+?\d{3}|\\u[dD][89a-fA-F]/#) : Self.isKnownToBeTakenByFoundation(body)
            return isKnown ? nil : "\(accepted ? "accepted" : "refused"): \(text.debugDescription)"
        }
        #expect(found == nil)
        #expect(refused > 0)
    }

    @Test func theScannerReadsWhatFoundationReads() {
        let found = counterexample(in: 6_000) { random in
            let body = Self.webhook(&random)
            let object = Self.reference(body) as? [String: Any]
            let payload = object?["payload"] as? [String: Any]
            guard let event = object?["event"] as? String, let uri = payload?["uri"] as? String else {
                return "no reference: \(String(decoding: body, as: UTF8.self).debugDescription)"
            }
            let expected = WebhookSummary.deduplicationParts(
                event: event, uri: uri, noShow: (payload?["no_show"] as? [String: Any])?["uri"] as? String,
                createdAt: object?["created_at"] as? String, body: body)
            do throws(WebhookSummary.ParseError) {
                let summary = try WebhookSummary.parse(body)
                guard summary.event.utf8.elementsEqual(event.utf8), summary.deduplicationParts == expected else {
                    return "\(summary) is not \(expected)"
                }
                return nil
            } catch .noEvent {
                return event.isEmpty ? nil : "no event in \(String(decoding: body, as: UTF8.self).debugDescription)"
            } catch {
                return "\(error) in \(String(decoding: body, as: UTF8.self).debugDescription)"
            }
        }
        #expect(found == nil)
    }

    /// A damaged delivery is refused with an error that may be stored and logged, or read as something that survives storage.
    @Test func damagedDeliveriesAreRefusedSafelyOrStayThemselves() throws {
        // Every text value of the fixtures holds the word, no name does.
        let marked = try Self.fixtures.get().map { body in
            Array(String(decoding: body, as: UTF8.self).replacing("\": \"", with: "\": \"Zq").utf8)
        }
        let fixtures = try Self.fixtures.get()
        var decoded = 0
        let found = counterexample(in: 4_000) { random in
            let isMarked = random.oneIn(2)
            let body = random.damaged(random.pick(isMarked ? marked : fixtures), tokens: Self.tokens)
            let text = String(decoding: body, as: UTF8.self).debugDescription
            do {
                let envelope = try WebhookEnvelope.decode(body)
                decoded += 1
                guard case .invitee(_, let payload) = envelope.payload else { return nil }
                let stored = payload.canonicalText
                let back = try JSONDecoder().decode(InviteePayload.self, from: Data(stored.utf8))
                guard back == payload, back.canonicalText == stored else { return "stored as \(stored): \(text)" }
                return nil
            } catch let error as WebhookDecodingError {
                return error.description.contains("Zq") ? "quoted in \(error): \(text)" : nil
            }
        }
        #expect(found == nil)
        #expect(decoded > 0)
    }

    /// A comma before a closing bracket, or NUL.
    private static func isKnownToBeTakenByFoundation(_ body: [UInt8]) -> Bool {
        body.contains(0) || String(decoding: body, as: UTF8.self).contains(#/,\s*[\]}]/#)
    }

    private static func summaryError(_ body: [UInt8]) -> WebhookSummary.ParseError? {
        do throws(WebhookSummary.ParseError) {
            _ = try WebhookSummary.parse(body)
            return nil
        } catch {
            return error
        }
    }

    /// Whatever is accepted can be written and read again, and lies in the years that the database and the wire share.
    @Test func instantsAreRefusedOrExact() {
        let texts = [
            "2027-03-16T13:00:00.000000Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:60.999999Z",
            "2024-02-29T12:30:00.5+05:30", "1900-02-28T23:59:59-23:59",
        ].map { Array($0.utf8) }
        let found = counterexample(in: 20_000) { random in
            let text = String(
                decoding: random.damaged(random.pick(texts), tokens: ["+", "-", "Z", "9", "0", "60", ".", "+23:59"]),
                as: UTF8.self)
            guard let instant = Timestamp(text) else { return nil }
            guard Timestamp(instant.text) == instant else { return "\(text) became \(instant.text)" }
            // Before that, Foundation counts days by Julius Caesar.
            guard instant.text > "1583" else { return nil }
            guard
                let date = try? Date(instant.text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
            else { return "\(instant.text) is no ISO 8601" }
            // Foundation keeps milliseconds.
            return abs(date.timeIntervalSince(instant.date)) < 0.002 ? nil : "\(text) is not \(date)"
        }
        #expect(found == nil)
    }
}
