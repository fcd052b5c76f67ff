import AMQP
import TestSupport
import Testing
import Topology

/// Name by name, what each role's user may do on a real broker.
@Suite(.timeLimit(.minutes(3))) struct RolePermissionTests {
    struct Rights: Sendable {
        let role: String
        /// Exchanges it may publish to; empty is the default exchange.
        var write: Set<String> = []
        /// Queues it may consume, of those that are tried.
        var read: Set<String> = []
    }

    static let exchanges = ["inbound", "commands", "events", "retry", "dead", "unrouted", ""]
    static let queues = [
        "sync", "sync.dead", "sync.retry.5s", "scheduling", "scheduling.urgent", "scheduling.dead",
        "scheduling.urgent.dead", "notification", "notification.urgent", "notification.mail", "notification.dead",
        "notification.urgent.dead", "notification.mail.dead", "unrouted", "canary", "canary.dead",
    ]
    static let letters: Set = [
        "sync.dead", "scheduling.dead", "scheduling.urgent.dead", "notification.dead", "notification.urgent.dead",
        "notification.mail.dead", "canary.dead", "unrouted",
    ]
    static let work: Set = ["commands", "events", "retry", "dead"]

    static let table = [
        Rights(role: "ingress", write: ["inbound", "commands"]),
        Rights(role: "sync", write: work, read: ["sync"]),
        Rights(role: "scheduling", write: work, read: ["scheduling", "scheduling.urgent"]),
        Rights(role: "notification", write: work, read: ["notification", "notification.urgent", "notification.mail"]),
        Rights(role: "deadletters", write: ["", "inbound", "commands", "events"], read: letters),
        Rights(role: "operator", write: ["", "commands", "retry", "dead"], read: letters.union(["canary"])),
        Rights(role: "monitoring"),
    ]

    @Test func everyRoleIsInTheTable() throws {
        #expect(Set(try TopologyDocument.shipped().roles.keys) == Set(Self.table.map(\.role)))
    }

    @Test func eachRoleMayDoItsWorkAndNothingElse() async throws {
        try await withBroker { broker in
            try await broker.deployment(broker.passwords).apply()
            for rights in Self.table {
                let role = rights.role
                for exchange in Self.exchanges {
                    let isAllowed = try await isAllowed(role, broker) { connection in
                        try await connection.publish(
                            Publication(exchange: exchange, routingKey: "canary", body: [1]))
                    }
                    #expect(isAllowed == rights.write.contains(exchange), "\(role) publishes to \(exchange)")
                }
                for queue in Self.queues {
                    let isAllowed = try await isAllowed(role, broker) { connection in
                        // What was got goes back with the connection.
                        _ = try await connection.get(queue)
                    }
                    #expect(isAllowed == rights.read.contains(queue), "\(role) reads \(queue)")
                }
                for name in ["sync", "mine"] {
                    #expect(
                        try await !isAllowed(role, broker) { connection in
                            _ = try await connection.deleteQueue(name)
                        }, "\(role) deletes \(name)")
                }
                #expect(
                    try await !isAllowed(role, broker) { connection in _ = try await connection.declareQueue("mine") },
                    "\(role) declares a queue")
                #expect(
                    try await !isAllowed(role, broker) { connection in
                        try await connection.bind(queue: "sync", to: "events", routingKey: "#")
                    }, "\(role) binds a queue")
            }
        }
    }

    /// Whether the broker lets a role's user do something. A refusal closes the channel, so each try has a connection.
    private func isAllowed(
        _ role: String, _ broker: BrokerFixture, _ body: (Connection) async throws -> Void
    ) async throws -> Bool {
        do {
            try await broker.withConnection(as: role) { connection in try await body(connection) }
            return true
        } catch let error as AMQPError where error.code == .accessRefused {
            return false
        } catch let error as PublishError {
            if error.underlying?.code == .accessRefused { return false }
            // Nobody takes it, which is found out after the question of who may send it.
            if case .returned = error.kind { return true }
            throw error
        }
    }

    /// People have the tag monitoring, to which the broker does not show everything.
    @Test func anOperatorCanVerifyAndCannotApply() async throws {
        try await withBroker { broker in
            try await broker.deployment(broker.passwords).apply()
            let operators = try broker.api(as: "operator")
            let deployment = TopologyDeployment(broker.document, on: operators)
            let verification = try await deployment.verify()
            #expect(verification.isClean, "\(verification)")
            #expect(verification.findings.map(\.rule) == [.notSeen], "\(verification)")
            let refused = await #expect(throws: TopologyError.self) { try await deployment.apply() }
            #expect(refused?.code == .accessRefused)
            // What is wrong with the queues shows all the same.
            try await broker.withConnection { connection in
                try await connection.unbind(queue: "sync.dead", from: "dead", routingKey: "sync")
            }
            #expect(try await deployment.verify().findings.map(\.rule).contains(.missing))
        }
    }
}
