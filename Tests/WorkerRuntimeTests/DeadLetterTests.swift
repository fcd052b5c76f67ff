import AMQP
import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing
import WorkerRuntime

@Suite(.timeLimit(.minutes(1))) struct DeadLetterTests {
    /// A journal on its own consumer for the time of the body.
    static func withJournal(
        _ rig: Rig, pool: PostgresPool? = nil, _ body: () async throws -> Void
    ) async throws {
        let consumer = Consumer(
            configuration: rig.broker,
            subscriptions: [
                Subscription(queue: "work.dead", prefetch: 50), Subscription(queue: "unrouted", prefetch: 50),
            ], drainTimeout: .seconds(1), logger: .silent)
        let journal = DeadLetterJournal(consumer: consumer, pool: pool ?? rig.pool, logger: .silent)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: [consumer, journal], logger: .silent))
        let run = Task { try await group.run() }
        try await body()
        await group.triggerGracefulShutdown()
        try await run.value
    }

    static func letters(_ rig: Rig, status: DeadLetter.Status? = nil) async throws -> [DeadLetter] {
        try await DeadLetters.list(DeadLetters.Filter(status: status), limit: 500, on: rig.pool).letters
    }

    @Test func theSameDeathIsJournaledOnceHoweverOftenItComes() async throws {
        try await Rig.with { rig in
            var properties = Rig.message("a").properties
            properties.headers["death-reason"] = "exhausted"
            properties.headers["odd"] = ["bytes": .bytes([0, 255]), "time": .timestamp(5), "text": "nul\0"]
            let dead = Publication(exchange: "dead", routingKey: "work", properties: properties, body: [0])
            try await rig.withConnection { connection in
                for _ in 0..<3 { try await connection.publish(dead) }
            }
            try await Self.withJournal(rig) {
                try await eventually { try await Self.letters(rig).count == 1 }
                try await rig.withConnection { try await $0.publish(dead) }
                var other = dead
                other.properties.messageID = "b"
                try await rig.withConnection { [other] connection in try await connection.publish(other) }
                try await eventually { try await Self.letters(rig).count == 2 }
            }
            #expect(Set(try await Self.letters(rig).map(\.messageID)) == ["a", "b"])
            #expect(try await rig.ready("work.dead") == 0)
        }
    }

    @Test func whatTheBrokerGaveUpIsJournaledWithItsReason() async throws {
        try await Rig.with { rig in
            try await rig.publish("crasher")
            // One more than the queue's delivery limit.
            try await rig.crashWithEverything(times: 6)
            try await Self.withJournal(rig) {
                try await eventually { try await Self.letters(rig).count == 1 }
            }
            let letter = try #require(try await Self.letters(rig).first)
            #expect(letter.reason == "delivery_limit" && letter.queue == "work")
            #expect(letter.headersJSON.contains("x-death"), "the original is kept as it came")
            #expect(try letter.revived().properties.headers.keys.allSatisfy { !$0.hasPrefix("x-") })
            #expect(letter.originalExchange == "commands" && letter.originalRoutingKey == "job.create")
            #expect(letter.handler == "broker/work" && letter.build == nil)
        }
    }

    @Test func lettersAreListedInPagesAndDiscardedWithAReason() async throws {
        try await Rig.with { rig in
            for number in 0..<7 {
                try await DeadLetters.insert(
                    [Self.letter(queue: number < 5 ? "sync" : "work", messageID: "m\(number)")], on: rig.pool)
            }
            let filter = DeadLetters.Filter(queue: "sync")
            let first = try await DeadLetters.list(filter, limit: 3, on: rig.pool)
            let second = try await DeadLetters.list(filter, after: first.next, limit: 3, on: rig.pool)
            #expect(first.letters.count == 3 && second.letters.count == 2 && second.next == nil)
            let ids = (first.letters + second.letters).map(\.id)
            #expect(ids == ids.sorted(by: >) && Set(ids).count == 5)
            #expect(try await DeadLetters.list(DeadLetters.Filter(type: "none"), on: rig.pool).letters.isEmpty)

            let discarded = try await DeadLetters.discard(
                [ids[0], .make()], reason: "test data", by: "ops", on: rig.pool)
            #expect(discarded == [ids[0]])
            #expect(try await DeadLetters.discard([ids[0]], reason: "again", by: "x", on: rig.pool) == [])
            let letter = try #require(try await DeadLetters.find(ids[0], on: rig.pool))
            #expect(letter.status == .discarded && letter.resolvedBy == "ops")
            #expect(letter.resolutionReason == "test data" && letter.resolvedAt != nil)
            #expect(try await DeadLetters.list(filter, on: rig.pool).letters.count == 4)
        }
    }

    static func letter(queue: String, messageID: String) -> DeadLetter {
        let delivery = Delivery(
            queue: queue + ".dead", consumerTag: "", deliveryTag: 1, epoch: 1, isRedelivered: false, exchange: "dead",
            routingKey: queue, properties: Rig.message(messageID).properties, body: [])
        return DeadLetter(delivery, id: .make(), now: Date())
    }
}

@Suite struct DeadLetterMappingTests {
    @Test func headersComeBackFromTheJournalAsTheyWere() throws {
        let headers: FieldTable = [
            "text": "ü\"\n", "int": 7, "bool": true, "double": 1.5, "nothing": nil, "list": [1, "two", [3]],
            "table": ["deep": ["er": "x"]], "bytes": .bytes([0, 1, 255]), "time": .timestamp(1_800_000_000),
        ]
        let delivery = Delivery(
            queue: "work.dead", consumerTag: "", deliveryTag: 1, epoch: 1, isRedelivered: false, exchange: "dead",
            routingKey: "work",
            properties: BasicProperties(
                contentType: "application/json", headers: headers.merging(["x-death": "no", "death-code": "c"]) { $1 },
                correlationID: "c", messageID: "m", timestamp: 9, type: "t", appID: "other"), body: [1])
        let stamp = ReplayStamp(campaign: .make(), epoch: 3)
        let publication = try DeadLetter(delivery, id: .make(), now: Date()).replay(number: 4, stamp: stamp)
        #expect(publication.exchange == "" && publication.routingKey == "work" && publication.body == [1])
        #expect(publication.isMandatory && publication.properties.isPersistent)
        #expect(
            publication.properties.headers
                == headers.merging(
                    [
                        "attempt": 0, "replays": 4, "replay-campaign": .string(stamp.campaign.rawValue),
                        "replay-epoch": 3,
                    ]) { $1 })
        #expect(publication.properties.messageID == "m" && publication.properties.appID == "other")
        #expect(publication.properties.timestamp == 9)
    }

    @Test func aLetterWithoutAnIdIsKnownByItsBytes() {
        func letter(_ body: [UInt8], attempt: Int64 = 1, replay: Int64 = 0) -> DeadLetter {
            DeadLetter(
                Delivery(
                    queue: "work.dead", consumerTag: "", deliveryTag: 1, epoch: 1, isRedelivered: false,
                    exchange: "dead",
                    routingKey: "work",
                    properties: BasicProperties(headers: ["attempt": .int64(attempt), "replays": .int64(replay)]),
                    body: body), id: .make(), now: Date())
        }
        #expect(letter([1]).deathKey == letter([1]).deathKey)
        #expect(letter([1]).deathKey != letter([2]).deathKey)
        // Two copies of a message that fail side by side are one death, and one that was replayed dies anew.
        #expect(letter([1], attempt: 3).deathKey == letter([1], attempt: 4).deathKey)
        #expect(letter([1], replay: 1).deathKey != letter([1]).deathKey)
        #expect(letter([1]).reason == "unknown")
    }
}
