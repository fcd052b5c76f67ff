import AMQP
import Foundation
import Messaging
import Testing

@Suite struct EnvelopeCodecTests {
    static let instant = Date(timeIntervalSince1970: 1_805_202_000)
    static let received = Date(timeIntervalSince1970: 1_805_201_999.125)

    static let full = Envelope(
        id: "b6a1", type: .createJob, correlationID: "c0", causationID: "a9", timestamp: instant, receivedAt: received,
        contentType: "application/json", schemaVersion: 3,
        traceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", signature: .stale,
        attempts: [
            Envelope.Attempt(at: received, worker: "scheduling-1", code: "db.40001", detail: "serialization failure"),
            Envelope.Attempt(at: instant, worker: "scheduling-2", code: "timeout", detail: "longer than 30 s"),
        ], attemptCount: 2, replayCount: 1, body: Array(#"{"a":"ü"}"#.utf8))

    static let bare = Envelope(id: "m1", type: .calendly("invitee.created"), timestamp: instant, body: [0, 255, 10])

    @Test(arguments: [full, bare])
    func whatGoesOutComesBack(envelope: Envelope) throws {
        let back = try Envelope(properties: envelope.properties, body: envelope.body, now: .distantPast)
        #expect(back == envelope)
    }

    @Test func aFullEnvelopeHasTheseBytesOnTheWire() {
        let properties = Self.full.properties
        let expected = BasicProperties(
            contentType: "application/json",
            headers: [
                "attempt": .int64(2), "schema-version": .int64(3), "received-at": "2027-03-16T12:59:59.125Z",
                "causation-id": "a9", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "signature": "stale", "replays": .int64(1),
                "attempts": [
                    [
                        "at": "2027-03-16T12:59:59.125Z", "worker": "scheduling-1", "code": "db.40001",
                        "detail": "serialization failure",
                    ],
                    [
                        "at": "2027-03-16T13:00:00.000Z", "worker": "scheduling-2", "code": "timeout",
                        "detail": "longer than 30 s",
                    ],
                ],
            ], isPersistent: true, correlationID: "c0", messageID: "b6a1", timestamp: 1_805_202_000, type: "job.create",
            appID: "neff")
        #expect(properties == expected)
    }

    @Test func aBareEnvelopeCarriesNoEmptyHeaders() {
        #expect(
            Self.bare.properties.headers == [
                "attempt": .int64(0), "schema-version": .int64(1), "received-at": "2027-03-16T13:00:00.000Z",
            ])
    }

    @Test func everyBrokerHeaderIsStripped() throws {
        var properties = Self.full.properties
        properties.headers["x-death"] = [["queue": "sync", "reason": "rejected", "count": 1]]
        properties.headers["x-delivery-count"] = 4
        properties.headers["X-First-Death-Queue"] = "sync"
        properties.expiration = "100"
        properties.userID = "mallory"
        let back = try Envelope(properties: properties, body: [], now: Self.instant)
        #expect(back.properties.headers.keys.allSatisfy { !$0.hasPrefix("x-") })

        properties.headers["tenant"] = "neff"
        let republishable = properties.republishable
        #expect(republishable.headers == Self.full.properties.headers.merging(["tenant": "neff"]) { _, new in new })
        #expect(republishable.expiration == nil && republishable.userID == nil && republishable.isPersistent)
    }

    @Test func aStrangersMessageIsTakenWhenItSaysWhoItIs() throws {
        let delivery = Self.delivery(
            exchange: "commands", routingKey: "job.create",
            BasicProperties(headers: ["something": [1, 2]], messageID: "foreign-1"))
        let envelope = try Envelope(delivery, now: Self.instant)
        #expect(envelope.type == .createJob)
        #expect(envelope.correlationID == "foreign-1")
        #expect(envelope.timestamp == Self.instant)
        #expect(envelope.receivedAt == Self.instant)
        #expect(envelope.attemptCount == 0)
        #expect(envelope.signature == nil)
    }

    @Test(arguments: [
        (BasicProperties(type: "job.create"), "message_id"),
        (BasicProperties(messageID: "m"), "type"),
        (BasicProperties(headers: ["attempt": "two"], messageID: "m", type: "t"), "attempt"),
        (BasicProperties(headers: ["attempt": -1], messageID: "m", type: "t"), "attempt"),
        (BasicProperties(headers: ["attempts": "no"], messageID: "m", type: "t"), "attempts"),
        (BasicProperties(headers: ["attempts": [["at": "yesterday"]]], messageID: "m", type: "t"), "attempts"),
        (BasicProperties(headers: ["signature": "fine"], messageID: "m", type: "t"), "signature"),
        (BasicProperties(headers: ["received-at": "noon"], messageID: "m", type: "t"), "received-at"),
        (BasicProperties(headers: ["traceparent": 7], messageID: "m", type: "t"), "traceparent"),
    ])
    func whatMakesNoSenseIsRefusedWithItsName(properties: BasicProperties, name: String) {
        // A tier or the default exchange routes by queue name, which is no type.
        let delivery = Self.delivery(exchange: "", routingKey: "scheduling", properties)
        #expect {
            try Envelope(delivery, now: Self.instant)
        } throws: { error in
            String(describing: error).contains(name)
        }
    }

    @Test func theHistoryIsBoundedButTheCountIsNot() throws {
        var envelope = Self.bare
        for number in 1...50 {
            envelope = envelope.adding(
                Envelope.Attempt(at: Self.instant, worker: "w", code: "c\(number)", detail: ""))
        }
        let back = try Envelope(properties: envelope.properties, body: envelope.body, now: Self.instant)
        #expect(back.attemptCount == 50)
        #expect(back.attempts.count == Envelope.maxAttemptsKept)
        #expect(back.attempts.first?.code == "c1")
        #expect(back.attempts.last?.code == "c50")
    }

    @Test func whatIsPublishedIsPersistentAndMandatory() {
        let publication = OutgoingMessage(exchange: .events, envelope: Self.full).publication
        #expect(publication.exchange == "events")
        #expect(publication.routingKey == "job.create")
        #expect(publication.isMandatory && publication.properties.isPersistent)
    }

    static func delivery(exchange: String, routingKey: String, _ properties: BasicProperties) -> Delivery {
        Delivery(
            queue: "scheduling", consumerTag: "c", deliveryTag: 1, epoch: 1, isRedelivered: false, exchange: exchange,
            routingKey: routingKey, properties: properties, body: [])
    }
}
