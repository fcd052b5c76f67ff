import AMQP
import TestSupport
import Testing
import Topology

/// Where RabbitMQ's versions differ, and that the topology stands on each. What is expected follows the version that the
/// broker reports.
@Suite(.timeLimit(.minutes(3))) struct VersionTests {
    /// Looks at the first message of a queue again and again, as the management interface does.
    private func look(_ times: Int, at queue: String, _ connection: Connection) async throws {
        for _ in 0..<times {
            guard let delivery = try await connection.get(queue) else { return }
            try await connection.reject(delivery, requeue: true)
        }
    }

    /// Messages that somebody could take now. A queue that just had one back may need a moment.
    private func remaining(in queue: String, _ connection: Connection) async throws -> Int {
        var count = 0
        for _ in 0..<20 where count == 0 {
            count = Int(try await connection.checkQueue(queue).messageCount)
            if count == 0 { try await Task.sleep(for: .milliseconds(50)) }
        }
        return count
    }

    @Test func aLetterSurvivesBeingLookedAtOnEveryVersion() async throws {
        try await withBroker { broker in
            try await broker.deployment().apply()
            try await broker.withConnection { connection in
                try await connection.publish(Publication(exchange: "dead", routingKey: "sync", body: [1]))
                try await look(40, at: "sync.dead", connection)
                #expect(try await remaining(in: "sync.dead", connection) == 1)
            }
        }
    }

    /// The trap that the terminal queues' own limit avoids: from 4.0 on a queue without a limit has one of 20.
    @Test func aQueueWithoutALimitHasOneOfTwentyFromFourOn() async throws {
        try await withBroker { broker in
            let version = try await broker.api.survey().version
            try await broker.withConnection { connection in
                _ = try await connection.declareQueue("plain", arguments: ["x-queue-type": "quorum"])
                try await connection.publish(Publication(exchange: "", routingKey: "plain", body: [1]))
                try await look(25, at: "plain", connection)
                let isKept = version < BrokerVersion(4, 0)
                #expect(try await remaining(in: "plain", connection) == (isKept ? 1 : 0), "\(version)")
            }
        }
    }

    /// Why the check refuses -1 before 4.0: there it does not mean "unlimited".
    @Test func aLimitOfMinusOneDestroysBeforeFour() async throws {
        try await withBroker { broker in
            let version = try await broker.api.survey().version
            try await broker.withConnection { connection in
                _ = try await connection.declareQueue(
                    "unlimited", arguments: ["x-queue-type": "quorum", "x-delivery-limit": -1])
                try await connection.publish(Publication(exchange: "", routingKey: "unlimited", body: [1]))
                try await look(1, at: "unlimited", connection)
                let isKept = version >= BrokerVersion(4, 0)
                #expect(try await remaining(in: "unlimited", connection) == (isKept ? 1 : 0), "\(version)")
            }
        }
    }

    /// A broker that was upgraded keeps the policies of its old version.
    @Test func policiesOfAnOlderVersionAreFoundAndBroughtUpToDate() async throws {
        try await withBroker { broker in
            try await broker.deployment().apply()
            let version = try await broker.api.survey().version
            let other = version < BrokerVersion(4, 0) ? BrokerVersion(4, 0) : debian12
            let policy = try #require(broker.document.desiredState(for: other).policies["queue.sync.dead"])
            try await broker.api.perform(.putPolicy("queue.sync.dead", policy, replacing: nil))
            #expect(try await !broker.deployment().verify().isClean)
            try await broker.deployment().apply()
            #expect(try await broker.deployment().verify().isClean)
        }
    }

    /// Policies for quorum queues alone exist from 3.12 on; the check says the same as the broker.
    @Test func aPolicyForQuorumQueuesIsRefusedWhereTheCheckSaysSo() async throws {
        try await withBroker { broker in
            let version = try await broker.api.survey().version
            let policy = Policy(
                pattern: "^q$", appliesTo: "quorum_queues", priority: 1, definition: ["max-length": 5])
            var state = BrokerState()
            state.policies["late"] = policy
            let isRefused = StaticCheck(state, version: version).findings().contains { $0.rule == .policyTargetUnknown }
            var wasRefused = false
            do throws(TopologyError) {
                try await broker.api.perform(.putPolicy("late", policy, replacing: nil))
            } catch {
                wasRefused = true
            }
            #expect(wasRefused == isRefused, "\(version)")
        }
    }
}
