import AMQP
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct ConnectionTests {
    /// The error that a call ends with.
    private func error(_ call: () async throws -> Void) async throws -> AMQPError {
        try await #require(throws: AMQPError.self) { try await call() }
    }

    @Test func refusalsCarryTheirReplyCodeAndLeaveTheConnectionUsable() async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                var refusal = try await error { try await connection.checkQueue("nowhere") }
                #expect((refusal.code, refusal.replyCode) == (.notFound, 404))
                refusal = try await error { try await connection.checkExchange("nowhere") }
                #expect((refusal.code, refusal.replyCode) == (.notFound, 404))

                try await connection.declareQueue("q", arguments: quorum)
                refusal = try await error { try await connection.declareQueue("q", arguments: [:]) }
                #expect((refusal.code, refusal.replyCode) == (.preconditionFailed, 406))

                try await withConnection(configuration) { other in
                    try await other.declareQueue("mine", isDurable: false, isExclusive: true)
                    let refusal = try await error { try await connection.checkQueue("mine") }
                    #expect((refusal.code, refusal.replyCode) == (.resourceLocked, 405))
                }
                #expect(try await connection.checkQueue("q").messageCount == 0)
            }
        }
    }

    @Test func missingPermissionIsAccessRefused() async throws {
        try await withVirtualHost { configuration in
            let management = try BrokerManagement.fromEnvironment()
            let user = "user-\(UInt64.random(in: 0 ... .max))"
            try await management.createUser(
                user, password: "pw", virtualHost: configuration.virtualHost, configure: "^$", write: "^$", read: "^$")
            let limited = AMQPConfiguration(
                host: configuration.host, port: configuration.port, user: user, password: "pw",
                virtualHost: configuration.virtualHost, connectionName: "limited")
            try await withConnection(limited) { connection in
                let refusal = try await error { try await connection.declareQueue("q") }
                #expect((refusal.code, refusal.replyCode) == (.accessRefused, 403))
                #expect(!refusal.isRetriable)
            }
            try await management.deleteUser(user)
        }
    }

    @Test func failuresToConnectAreToldApart() async throws {
        let good = try AMQPConfiguration(url: BrokerManagement.environment("AMQP_URL"), connectionName: "test")
        func expect(_ configuration: AMQPConfiguration, _ code: AMQPError.Code) async throws {
            let failure = try await error { _ = try await Connection.open(configuration, logger: quiet) }
            #expect(!failure.description.contains("not-the-password"))
            #expect(!failure.message.contains("\n"))
            #expect(failure.code == code, "\(failure)")
        }
        let wrongPassword = AMQPConfiguration(
            host: good.host, port: good.port, user: good.user, password: "not-the-password", virtualHost: "/",
            connectionName: "test")
        try await expect(wrongPassword, .authenticationRefused)
        var configuration = good
        configuration.virtualHost = "no such host"
        try await expect(configuration, .virtualHostRefused)
        configuration = good
        configuration.port = 1
        try await expect(configuration, .unreachable)
        configuration.host = "no-such-host.invalid"
        try await expect(configuration, .unreachable)
        configuration = good
        configuration.tls = .init()
        try await expect(configuration, .tls)
        configuration = good
        configuration.heartbeat = .zero
        try await expect(configuration, .invalidArgument)
    }

    @Test func peerThatSaysNothingIsGivenUpInTime() async throws {
        let good = try AMQPConfiguration(url: BrokerManagement.environment("AMQP_URL"), connectionName: "test")
        try await withBrokerProxy(to: good.port) { proxy in
            proxy.behaviour = .blackHole
            var configuration = good
            configuration.host = "127.0.0.1"
            configuration.port = proxy.port
            configuration.connectTimeout = .milliseconds(300)
            let failure = try await error { _ = try await Connection.open(configuration, logger: quiet) }
            #expect(failure.code == .unreachable)
        }
    }

    @Test func requestToASilentBrokerTimesOut() async throws {
        try await withVirtualHost { configuration in
            try await withBrokerProxy(to: configuration.port) { proxy in
                var configuration = configuration
                (configuration.host, configuration.port) = ("127.0.0.1", proxy.port)
                configuration.rpcTimeout = .milliseconds(300)
                try await withConnection(configuration) { connection in
                    proxy.behaviour = .blackHole
                    let failure = try await error { try await connection.checkQueue("q") }
                    #expect(failure.code == .timedOut)
                    let later = try await error { try await connection.checkQueue("q") }
                    #expect(later.code == .timedOut, "the reason is kept")
                }
            }
        }
    }

    @Test func topologyCanBeBuiltAndTakenDown() async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                try await connection.declareExchange("events", kind: .topic)
                try await connection.declareExchange("copy", kind: .fanout)
                try await connection.declareQueue("q", arguments: quorum)
                try await connection.bind(exchange: "copy", to: "events", routingKey: "a.#")
                try await connection.bind(queue: "q", to: "copy", routingKey: "")
                try await connection.publish(Publication(exchange: "events", routingKey: "a.b", body: [1]))
                try await eventually { try await connection.checkQueue("q").messageCount == 1 }
                #expect(try await connection.purge("q") == 1)
                try await connection.unbind(queue: "q", from: "copy", routingKey: "")
                try await connection.unbind(exchange: "copy", from: "events", routingKey: "a.#")
                let kind = await outcome { () throws(PublishError) in
                    try await connection.publish(Publication(exchange: "events", routingKey: "a.b", body: [1]))
                }
                #expect(kind == .returned(replyCode: 312, replyText: "NO_ROUTE"))
                #expect(try await connection.deleteQueue("q") == 0)
                try await connection.deleteExchange("copy")
                _ = try await error { try await connection.checkExchange("copy") }
                #expect(try await connection.declareQueue("", isExclusive: true).name.hasPrefix("amq.gen"))
            }
        }
    }

    @Test func messagesCanBeGotAndSettled() async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                try await connection.declareQueue("q", arguments: quorum)
                #expect(try await connection.get("q") == nil)
                // Larger than a frame, and one that exactly fills it.
                for size in [300_000, Int(131_072 - 8), 0] {
                    let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
                    try await connection.publish(Publication(exchange: "", routingKey: "q", body: body))
                    let first = try #require(try await connection.get("q"))
                    #expect(first.body == body)
                    try await connection.reject(first, requeue: true)
                    let second = try #require(try await connection.get("q"))
                    #expect(second.isRedelivered)
                    try await connection.acknowledge(second)
                }
                #expect(try await connection.get("q") == nil)
            }
        }
    }

    @Test func namesThatDoNotFitAreRefusedHere() async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                let long = String(repeating: "q", count: 256)
                var refusal = try await error { try await connection.declareQueue(long) }
                #expect(refusal.code == .invalidArgument)
                refusal = try await error { try await connection.declareQueue("q", arguments: ["": 1]) }
                #expect(refusal.code == .invalidArgument)
                #expect(try await connection.declareQueue(String(repeating: "q", count: 255)).messageCount == 0)
            }
        }
    }

    /// Heartbeats go on without calls: the broker would hang up after two intervals.
    @Test func idleConnectionStaysOpen() async throws {
        try await withVirtualHost { configuration in
            var configuration = configuration
            configuration.heartbeat = .seconds(1)
            try await withConnection(configuration) { connection in
                try await Task.sleep(for: .seconds(4))
                try await connection.declareQueue("q")
            }
        }
    }

    /// With answers flowing the broker sends no heartbeats of its own, so the answers must count as signs of life.
    @Test(arguments: [true, false]) func connectionBusyWithRequestsIsNotSilent(_ isEmpty: Bool) async throws {
        try await withVirtualHost { configuration in
            var configuration = configuration
            configuration.heartbeat = .seconds(1)
            try await withConnection(configuration) { connection in
                try await connection.declareQueue("q")
                let end = ContinuousClock.now + .seconds(5)
                while ContinuousClock.now < end {
                    if !isEmpty { try await connection.publish(Publication(exchange: "", routingKey: "q", body: [1])) }
                    let delivery = try await connection.get("q")
                    #expect((delivery == nil) == isEmpty)
                    if let delivery { try await connection.acknowledge(delivery) }
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
        }
    }
}
