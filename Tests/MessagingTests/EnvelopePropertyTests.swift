import AMQP
import Foundation
import Messaging
import TestSupport
import Testing

/// What must hold for any envelope and any properties whatever; see `counterexample` for how to try more of them.
@Suite(.timeLimit(.minutes(60))) struct EnvelopePropertyTests {
    private static let now = Date(timeIntervalSince1970: 1_805_202_000)
    private static let headers = [
        HeaderName.causationID, HeaderName.attempt, HeaderName.attempts, HeaderName.schemaVersion,
        HeaderName.traceParent,
        HeaderName.receivedAt, HeaderName.signature, HeaderName.replays, "x-death", "else",
    ]

    /// An instant that the wire holds exactly, to the second or to the millisecond.
    private static func instant(_ random: inout SeededGenerator, milliseconds: Bool) -> Date {
        let seconds = Double(Int64.random(in: 0...253_402_300_799, using: &random))
        return Date(timeIntervalSince1970: milliseconds ? seconds + Double.random(in: 0..<1, using: &random) : seconds)
    }

    private static func envelope(_ random: inout SeededGenerator) -> Envelope {
        func optional(_ random: inout SeededGenerator) -> String? { random.oneIn(2) ? nil : random.text() }
        var envelope = Envelope(
            id: "m" + random.text(), type: MessageType(rawValue: "t" + random.text()), correlationID: optional(&random),
            causationID: optional(&random), timestamp: instant(&random, milliseconds: false),
            receivedAt: random.oneIn(2) ? nil : instant(&random, milliseconds: true), contentType: random.text(),
            schemaVersion: Int.random(in: 0...1_000_000, using: &random), traceParent: optional(&random),
            signature: random.pick([nil, .valid, .stale]), replayCount: Int.random(in: 0...3, using: &random),
            body: random.bytes(maxCount: 20))
        for _ in 0..<Int.random(in: 0...(random.oneIn(10) ? 30 : 2), using: &random) {
            envelope = envelope.adding(
                Envelope.Attempt(
                    at: instant(&random, milliseconds: true), worker: random.text(), code: random.text(),
                    detail: random.text(maxScalars: random.oneIn(10) ? 300 : 5)))
        }
        return envelope
    }

    /// Nothing but fractions of time gets lost, and from then on nothing at all.
    @Test func whatGoesOutComesBack() {
        let found = counterexample(in: 3_000) { random in
            let envelope = Self.envelope(&random)
            let back = try Envelope(properties: envelope.properties, body: envelope.body, now: .distantPast)
            var expected = envelope
            guard abs(back.receivedAt.timeIntervalSince(envelope.receivedAt)) <= 0.001,
                zip(back.attempts, envelope.attempts).allSatisfy({ abs($0.at.timeIntervalSince($1.at)) <= 0.001 })
            else { return "\(back.receivedAt), \(envelope)" }
            expected.receivedAt = back.receivedAt
            for index in expected.attempts.indices { expected.attempts[index].at = back.attempts[index].at }
            guard back == expected else { return "\(back) is not \(expected)" }
            let again = try Envelope(properties: back.properties, body: back.body, now: .distantPast)
            return again == back ? nil : "\(again) is not \(back)"
        }
        #expect(found == nil)
    }

    /// Whatever another program may have put on the wire is refused with a reason, or taken and can be sent again as it was
    /// understood.
    @Test func strangePropertiesAreRefusedOrCanBeSentAgain() {
        var refused = 0
        var taken = 0
        let found = counterexample(in: 5_000) { random in
            var properties = Self.envelope(&random).properties
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                switch Int.random(in: 0..<6, using: &random) {
                case 0: properties.timestamp = random.oneIn(4) ? nil : UInt64(bitPattern: random.integer())
                case 1: properties.messageID = random.oneIn(3) ? nil : random.text()
                case 2: properties.type = random.oneIn(3) ? nil : random.text()
                case 3: properties.correlationID = random.oneIn(3) ? nil : random.text()
                case 4:
                    let instant = random.pick([
                        "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "2027-03-16T13:00:00+23:59",
                        "-2000-01-01T00:00:00Z",
                        "99999-01-01T00:00:00Z",
                    ])
                    properties.headers[HeaderName.receivedAt] = .string(
                        String(decoding: random.damaged(Array(instant.utf8)), as: UTF8.self))
                default: properties.headers[random.pick(Self.headers)] = random.oneIn(4) ? nil : random.field()
                }
            }
            do {
                let envelope = try Envelope(properties: properties, body: [], now: Self.now)
                taken += 1
                let again = try Envelope(properties: envelope.properties, body: [], now: Self.now)
                guard abs(again.receivedAt.timeIntervalSince(envelope.receivedAt)) <= 0.001,
                    again.properties == envelope.properties
                else { return "\(again.properties) is not \(envelope.properties)" }
                let republishable = properties.republishable
                return republishable.headers["x-death"] == nil ? nil : "\(republishable)"
            } catch let error as EnvelopeError {
                refused += 1
                return error.description.isEmpty ? "no reason" : nil
            }
        }
        #expect(found == nil)
        #expect(refused > 0 && taken > 0)
    }
}
