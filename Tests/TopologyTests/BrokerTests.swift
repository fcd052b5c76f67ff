import AMQP
import Foundation
import TestSupport
import Testing
import Topology
import Transport

/// The topology on a real broker. Needs `AMQP_URL` and `RABBITMQ_MANAGEMENT_URL`.
@Suite(.timeLimit(.minutes(3))) struct BrokerTests {
    @Test func applyIsIdempotentAndVerifiesClean() async throws {
        try await withBroker { broker in
            let deployment = broker.deployment(broker.passwords)
            let plan = try await deployment.apply()
            #expect(plan.changes.count > 150)
            #expect(try await deployment.plan().changes == [])
            let verification = try await deployment.verify()
            #expect(verification.findings == [], "\(verification)")
            #expect(verification.description.hasPrefix("ok: 70 queues"), "\(verification)")
        }
    }

    @Test func aVirtualHostThatIsNotThereIsMade() async throws {
        try await withBroker { broker in
            let management = try BrokerManagement.fromEnvironment()
            try await management.deleteVirtualHost(broker.virtualHost)
            #expect(try await broker.deployment().verify().findings.map(\.rule).contains(.missing))
            let plan = try await broker.deployment().apply()
            #expect(plan.changes.first == .createVirtualHost(broker.virtualHost))
            #expect(try await broker.deployment().verify().isClean)
        }
    }

    /// The broker takes unknown arguments without a word, and keeps those of a queue that exists for ever.
    @Test func aQueueDeclaredWithOtherArgumentsIsDriftThatSaysWhatToDo() async throws {
        try await withBroker { broker in
            try await broker.deployment().apply()
            try await broker.withConnection { connection in
                _ = try await connection.deleteQueue("sync")
                _ = try await connection.declareQueue(
                    "sync", arguments: ["x-queue-type": "quorum", "x-consumer-timeout": 5_000, "x-max-length": 7])
                try await connection.bind(queue: "sync", to: "inbound", routingKey: "calendly.#")
                try await connection.bind(queue: "sync", to: "commands", routingKey: "calendly.#")
            }
            let verification = try await broker.deployment().verify()
            let drift = try #require(verification.findings.first { $0.rule == .drift })
            #expect(drift.subject == "queue sync")
            #expect(drift.problem.contains("x-max-length is 7, not wanted"))
            #expect(drift.problem.contains("x-consumer-timeout is 5000, not wanted"))
            #expect(drift.remedy.contains("delete the queue"))
            let rules = Set(verification.findings.map(\.rule))
            // From 3.12 on a queue may have a consumer timeout of its own; frozen it is all the same.
            let isIgnored = try await broker.api.survey().version < BrokerVersion(3, 12)
            #expect(rules.contains(.frozenArgument), "\(verification)")
            #expect(rules.contains(.ignoredSetting) == isIgnored, "\(verification)")
            let error = await #expect(throws: TopologyError.self) { try await broker.deployment().apply() }
            #expect(error?.code == .conflict)
        }
    }

    @Test func lostAndForeignBindingsAreFoundAndMended() async throws {
        try await withBroker { broker in
            try await broker.deployment().apply()
            try await broker.withConnection { connection in
                try await connection.unbind(queue: "sync.dead", from: "dead", routingKey: "sync")
                try await connection.bind(queue: "sync", to: "events", routingKey: "job.*/%2F")
            }
            #expect(
                try await broker.deployment().plan().changes.map(\.description) == [
                    "+ binding dead –sync→ sync.dead", "- binding events –job.*/%2F→ sync",
                ])
            #expect(try await !broker.deployment().verify().isClean)
            try await broker.deployment().apply()
            #expect(try await broker.deployment().verify().isClean)
        }
    }

    @Test func aCompetingPolicyIsFoundByItsEffect() async throws {
        try await withBroker { broker in
            try await broker.deployment().apply()
            try await broker.api.perform(
                .putPolicy(
                    "emergency",
                    Policy(pattern: "^sync$", appliesTo: "queues", priority: 250, definition: ["max-length": 5]),
                    replacing: nil))
            let verification = try await broker.deployment().verify()
            let rules = Set(verification.findings.filter { $0.severity == .error }.map(\.rule))
            #expect(rules.isSuperset(of: [.overridden, .policyOverlap, .missingDeath]), "\(verification)")
        }
    }

    @Test func anOperatorPolicyIsFound() async throws {
        try await withBroker { broker in
            try await broker.deployment().apply()
            let tool = try BrokerManagement.environment("NEFF_RABBITMQCTL")
            try await run(
                tool,
                [
                    "set_operator_policy", "-p", broker.virtualHost, "--apply-to", "queues", "cap", "^sync$",
                    #"{"max-length":3}"#,
                ])
            let verification = try await broker.deployment().verify()
            let found = try #require(verification.findings.first { $0.rule == .overridden })
            #expect(found.subject == "queue sync")
            #expect(found.remedy == "rabbitmqctl clear_operator_policy cap")
        }
    }

    @Test func aDeadLetterPolicyOnTheBrokerThatMakesACircleIsFound() async throws {
        try await withBroker { broker in
            try await broker.deployment().apply()
            var policy = try #require(broker.document.desiredState(for: debian12).policies["queue.sync"])
            policy.definition["dead-letter-exchange"] = "retry"
            policy.definition["dead-letter-routing-key"] = "sync.retry.5s"
            try await broker.api.perform(.putPolicy("queue.sync", policy, replacing: nil))
            let plan = try await broker.deployment().plan()
            #expect(
                plan.changes.map(\.description) == [
                    "~ policy queue.sync: dead-letter-exchange \"retry\" → \"dead\", "
                        + "dead-letter-routing-key \"sync.retry.5s\" → \"sync\""
                ])
            try await broker.deployment().apply()
            #expect(try await broker.deployment().verify().isClean)
        }
    }

    @Test func exportedDefinitionsMakeTheSameTopology() async throws {
        let tool = try BrokerManagement.environment("NEFF_RABBITMQCTL")
        try await withBroker { broker in
            let version = try await broker.api.survey().version
            let definitions = try Definitions(
                broker.document, version: version, virtualHost: broker.virtualHost, passwords: broker.passwords)
            #expect(definitions.omittedRoles == [])
            #expect(!definitions.json.contains("password-"))
            if version < BrokerVersion(4, 0) {
                try await run(tool, ["import_definitions", "--timeout", "60"], input: definitions.json)
            } else {
                // The tool of 4.0.5 waits for ever when the definitions come through a pipe. A file has to lie where
                // the broker's account can read it: beside the tool.
                let file = URL(fileURLWithPath: tool).deletingLastPathComponent()
                    .appending(path: "definitions-\(broker.suffix).json")
                try Data(definitions.json.utf8).write(to: file)
                defer { try? FileManager.default.removeItem(at: file) }
                try await run(tool, ["import_definitions", "--timeout", "60", file.path])
                try await settled(broker)
            }
            let verification = try await broker.deployment(broker.passwords).verify()
            #expect(verification.findings == [], "\(verification)")
            try await broker.withConnection(as: "ingress") { connection in
                try await connection.publish(
                    Publication(exchange: "inbound", routingKey: "calendly.invitee.created", body: [1]))
            }
        }
    }

    @Test func exportWithoutPasswordsTouchesNoUser() throws {
        let definitions = try Definitions(TopologyDocument.shipped(), version: debian12, virtualHost: "v")
        #expect(definitions.omittedRoles.contains("ingress"))
        #expect(!definitions.json.contains("neff-ingress"))
    }

    @Test func aMessageThatNoBindingTakesIsKept() async throws {
        try await withBroker { broker in
            try await broker.deployment().apply()
            try await broker.withConnection { connection in
                try await connection.publish(
                    Publication(exchange: "commands", routingKey: "nobody.knows.this", body: [7]))
                let kept = try #require(try await connection.get("unrouted"))
                #expect(kept.body == [7])
                #expect(kept.routingKey == "nobody.knows.this")
                try await connection.acknowledge(kept)
            }
        }
    }

    @Test func aMessageThatKeepsComingBackEndsInTheDeadLetterQueue() async throws {
        try await withBroker { broker in
            try await broker.deployment().apply()
            try await broker.withConnection { connection in
                try await connection.publish(
                    Publication(exchange: "inbound", routingKey: "calendly.poison", body: [9]))
                var returns = 0
                while let delivery = try await connection.get("sync") {
                    try await connection.reject(delivery, requeue: true)
                    returns += 1
                    try #require(returns <= 101)
                }
                #expect(returns == 101, "the limit of 100 returns, and the one that passes it")
                let dead = try #require(try await fetch(from: "sync.dead", connection))
                #expect(dead.body == [9])
                try await connection.acknowledge(dead)
            }
        }
    }

    @Test func aWrongPasswordAndADeadAddressSayWhatToDo() async throws {
        let good = try BrokerManagement.environment("RABBITMQ_MANAGEMENT_URL")
        let host = try #require(good.split(separator: "@").last)
        let client = HTTPClient(name: "topology-test")
        func failure(_ url: String) async throws -> TopologyError? {
            let api = ManagementAPI(address: try ManagementAddress(url), virtualHost: "v", client: client)
            return await #expect(throws: TopologyError.self) { try await api.survey() }
        }
        let refused = try await failure("http://nobody:hunter2@\(host)")
        #expect(refused?.code == .accessRefused)
        #expect(refused?.description.contains("administrator") == true)
        #expect(refused?.description.contains("hunter2") == false)
        let unreachable = try await failure("http://nobody:hunter2@127.0.0.1:1")
        #expect(unreachable?.code == .unreachable)
        #expect(unreachable?.description.contains("hunter2") == false)
        await client.close()
    }
}

/// Polls: the import by file goes on after the tool has ended.
private func settled(_ broker: BrokerFixture) async throws {
    let wanted = broker.document.desiredState(for: try await broker.api.survey().version)
    let deadline = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < deadline {
        let found = try await broker.api.survey().state
        if found.bindings == wanted.bindings, found.users.count >= wanted.users.count { return }
        try await Task.sleep(for: .milliseconds(200))
    }
}

/// Polls: at-least-once dead-lettering takes the broker a moment and tells nobody.
func fetch(from queue: String, _ connection: Connection) async throws -> Delivery? {
    let deadline = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < deadline {
        if let delivery = try await connection.get(queue) { return delivery }
        try await Task.sleep(for: .milliseconds(10))
    }
    return nil
}

/// Runs a command to its end, with this on its standard input.
private func run(_ tool: String, _ arguments: [String], input text: String = "") async throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: tool)
    process.arguments = arguments
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    process.standardError = output
    let status = try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Int32, any Error>) in
        process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
        do {
            try process.run()
            // The tool reads everything before it writes a few lines, so neither pipe can block the other.
            try input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
            try input.fileHandleForWriting.close()
        } catch {
            process.terminationHandler = nil
            continuation.resume(throwing: error)
        }
    }
    let said = try output.fileHandleForReading.readToEnd() ?? Data()
    #expect(status == 0, "\(String(decoding: said, as: UTF8.self))")
}
