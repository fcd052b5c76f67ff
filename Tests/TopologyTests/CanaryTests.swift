import AMQP
import TestSupport
import Testing
import Topology

@Suite(.timeLimit(.minutes(2))) struct CanaryTests {
    private func run(_ broker: BrokerFixture, as role: String? = nil) async throws -> Canary.Result {
        try await broker.withConnection(as: role) { connection in
            try await Canary(broker.document, over: connection)
                .run(tag: "canary-\(UInt64.random(in: .min ... .max))", limit: .seconds(3))
        }
    }

    /// Puts a setting of a canary queue's policy wrong on the broker.
    private func damage(_ broker: BrokerFixture, _ queue: String, _ settings: Arguments) async throws {
        let name = "queue.\(queue)"
        var policy = try #require(broker.document.desiredState(for: debian12).policies[name])
        policy.definition.merge(settings) { $1 }
        try await broker.api.perform(.putPolicy(name, policy, replacing: nil))
    }

    @Test func aSoundTopologyCarriesTheMessageAllTheWay() async throws {
        try await withBroker { broker in
            try await broker.deployment(broker.passwords).apply()
            let result = try await run(broker)
            #expect(result.isClean, "\(result)")
            #expect(result.hops.count == 7)
            let wait = try #require(result.hops.first { $0.name.contains("waits") })
            #expect(wait.duration >= .milliseconds(900))
            #expect(result.strays == 0)
            #expect("\(result)".contains("dead → canary.dead"))
            let again = try await run(broker)
            #expect(again.isClean && again.strays == 0, "\(again)")
        }
    }

    @Test func aLostTierBindingIsNoticed() async throws {
        try await withBroker { broker in
            try await broker.deployment().apply()
            try await broker.withConnection {
                try await $0.unbind(queue: "canary.retry.1s", from: "retry", routingKey: "canary.retry.1s")
            }
            let result = try await run(broker)
            #expect(result.hops.last?.name.hasPrefix("retry → canary.retry.1s") == true)
            #expect(result.hops.last?.problem?.contains("unroutable") == true, "\(result)")
            let verification = try await broker.deployment().verify()
            let rules = verification.including(result).findings.filter { $0.severity == .error }.map(\.rule)
            #expect(rules == [.missing, .canary] || rules == [.canary, .missing])
        }
    }

    @Test func aTierThatDoesNotReturnIsNoticedAndTheNextRunCleansUp() async throws {
        try await withBroker { broker in
            try await broker.deployment().apply()
            try await damage(broker, "canary.retry.1s", ["message-ttl": 6_000])
            let result = try await run(broker)
            #expect(result.hops.last?.name.contains("waits") == true)
            #expect(result.hops.last?.problem?.contains("did not arrive") == true, "\(result)")
            try await broker.deployment().apply()
            try await broker.withConnection { connection in
                let late = try #require(try await fetch(from: "canary", connection))
                try await connection.reject(late, requeue: true)
            }
            let next = try await run(broker)
            #expect(next.isClean && next.strays == 1, "\(next)")
        }
    }

    @Test func aMissingWayToTheDeadLetterQueueIsNoticed() async throws {
        try await withBroker { broker in
            try await broker.deployment().apply()
            try await damage(broker, "canary", ["dead-letter-routing-key": "nowhere"])
            let result = try await run(broker)
            #expect(result.hops.last?.name.hasPrefix("dead →") == true)
            #expect(result.isClean == false, "\(result)")
        }
    }

    @Test func theOperatorsRightsAreEnough() async throws {
        try await withBroker { broker in
            try await broker.deployment(broker.passwords).apply()
            let result = try await run(broker, as: "operator")
            #expect(result.isClean, "\(result)")
        }
    }
}
