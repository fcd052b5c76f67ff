import AMQP
import ServiceLifecycle
import ServiceLifecycleTestKit
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct PublisherTests {
    @Test func confirmedMessageIsInTheQueue() async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                try await connection.declareQueue("work", arguments: quorum)
                let sent = Publication(
                    exchange: "", routingKey: "work",
                    properties: BasicProperties(
                        contentType: "application/json", contentEncoding: "identity",
                        headers: [
                            "a": "text", "n": 7, "deep": ["list": [1, true, nil, 2.5]], "raw": .bytes([0, 255]),
                        ],
                        priority: 3, correlationID: "c", replyTo: "r", expiration: "600000", messageID: "m",
                        timestamp: 1_700_000_000, type: "t", userID: configuration.user, appID: "app"),
                    body: Array("hello".utf8))
                try await withPublisher(configuration) { publisher in
                    #expect(publisher.state == .connected)
                    try await publisher.publish(sent)
                }
                let got = try #require(try await connection.get("work"))
                #expect(got.body == sent.body)
                var properties = got.properties
                properties.headers["x-delivery-count"] = nil
                #expect(properties == sent.properties)
                try await connection.acknowledge(got)
            }
        }
    }

    @Test func manyPublishersAtOnceAreAllConfirmed() async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                try await connection.declareQueue("work")
                try await withPublisher(configuration, window: 50) { publisher in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for index in 0..<2_000 {
                            group.addTask {
                                try await publisher.publish(
                                    Publication(exchange: "", routingKey: "work", body: Array("\(index)".utf8)))
                            }
                        }
                        try await group.waitForAll()
                    }
                }
                #expect(try await connection.checkQueue("work").messageCount == 2_000)
            }
        }
    }

    @Test func onlyTheUnroutableAreReturned() async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                try await connection.declareQueue("work")
                try await withPublisher(configuration) { publisher in
                    // Same body, same properties: only the address tells them apart.
                    let kinds = await withTaskGroup(of: (Bool, PublishError.Kind?).self) { group in
                        for index in 0..<600 {
                            let isRoutable = index % 3 != 0
                            let publication = Publication(
                                exchange: "", routingKey: isRoutable ? "work" : "nowhere",
                                properties: BasicProperties(headers: ["n": 1]), body: [1, 2, 3])
                            group.addTask {
                                (
                                    isRoutable,
                                    await outcome { () throws(PublishError) in try await publisher.publish(publication)
                                    }
                                )
                            }
                        }
                        return await group.reduce(into: []) { $0.append($1) }
                    }
                    for (isRoutable, kind) in kinds {
                        #expect(kind == (isRoutable ? nil : .returned(replyCode: 312, replyText: "NO_ROUTE")))
                    }
                    // Without `mandatory` the broker confirms what it drops.
                    try await publisher.publish(
                        Publication(exchange: "", routingKey: "nowhere", body: [], isMandatory: false))
                }
                #expect(try await connection.checkQueue("work").messageCount == 400)
            }
        }
    }

    /// The binding goes away in between: of two messages with one address, the one that was returned is blamed.
    @Test func returnedMessageIsFoundByItsContent() async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                try await withBrokerProxy(to: configuration.port) { proxy in
                    try await connection.declareExchange("e", kind: .direct)
                    try await connection.declareQueue("q")
                    try await connection.bind(queue: "q", to: "e", routingKey: "k")
                    var slow = configuration
                    (slow.host, slow.port) = ("127.0.0.1", proxy.port)
                    try await withPublisher(slow) { publisher in
                        proxy.behaviour = .delay(.milliseconds(400))
                        async let first = outcome { () throws(PublishError) in
                            try await publisher.publish(Publication(exchange: "e", routingKey: "k", body: [1]))
                        }
                        // It has reached the queue; its confirm has not come back.
                        try await eventually { try await connection.checkQueue("q").messageCount == 1 }
                        try await connection.unbind(queue: "q", from: "e", routingKey: "k")
                        async let second = outcome { () throws(PublishError) in
                            try await publisher.publish(Publication(exchange: "e", routingKey: "k", body: [2]))
                        }
                        #expect(await first == nil)
                        #expect(await second == .returned(replyCode: 312, replyText: "NO_ROUTE"))
                    }
                }
            }
        }
    }

    @Test func fullQueueRefuses() async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                try await connection.declareQueue(
                    "full", arguments: ["x-max-length": 1, "x-overflow": "reject-publish"])
                try await withPublisher(configuration) { publisher in
                    var kinds: [PublishError.Kind?] = []
                    for _ in 0..<5 {
                        kinds.append(
                            await outcome { () throws(PublishError) in
                                try await publisher.publish(Publication(exchange: "", routingKey: "full", body: [1]))
                            })
                    }
                    #expect(kinds.first == .some(nil))
                    #expect(kinds.last == .refused)
                    let confirmed = kinds.count { $0 == nil }
                    let stored = try await connection.checkQueue("full").messageCount
                    #expect(stored == confirmed)
                }
            }
        }
    }

    /// The broker closes the channel; the connection and the publishes after it live on.
    @Test func missingExchangeCostsTheChannelOnly() async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                try await connection.declareQueue("work")
                try await withPublisher(configuration) { publisher in
                    let error = await #expect(throws: PublishError.self) {
                        try await publisher.publish(Publication(exchange: "missing", routingKey: "", body: []))
                    }
                    #expect(error?.kind == .unknown)
                    #expect(error?.underlying?.replyCode == 404)
                    #expect(publisher.state == .connected)
                    try await publisher.publish(Publication(exchange: "", routingKey: "work", body: []))
                }
            }
        }
    }

    @Test func bodiesOfAnySizeTravelWhole() async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                try await connection.declareQueue("work")
                try await withPublisher(configuration) { publisher in
                    // Empty, one byte, exactly one frame, one more, several frames.
                    for size in [0, 1, 131_064, 131_065, 3_000_000] {
                        let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
                        try await publisher.publish(Publication(exchange: "", routingKey: "work", body: body))
                        let got = try #require(try await connection.get("work"))
                        #expect(got.body == body)
                        try await connection.acknowledge(got)
                    }
                }
            }
        }
    }

    @Test func publicationThatCannotBeSentIsRefusedHere() async throws {
        let configuration = AMQPConfiguration(
            host: "127.0.0.1", port: 1, user: "u", password: "p", virtualHost: "/", connectionName: "test")
        let publisher = Publisher(configuration: configuration, logger: quiet)
        let kind = await outcome { () throws(PublishError) in
            try await publisher.publish(
                Publication(exchange: String(repeating: "e", count: 256), routingKey: "", body: []))
        }
        #expect(kind == .invalid(reason: "the exchange is longer than 255 bytes"))
    }

    @Test func withoutConnectionNothingIsSentAndTheStateSaysWhy() async throws {
        var configuration = AMQPConfiguration(
            host: "127.0.0.1", port: 1, user: "u", password: "p", virtualHost: "/", connectionName: "test")
        configuration.backoff = Backoff(base: .milliseconds(10), cap: .milliseconds(20))
        let publisher = Publisher(configuration: configuration, logger: quiet)
        #expect(publisher.state == .connecting)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await publisher.run() }
            try? await eventually { publisher.state != .connecting }
            let error = await #expect(throws: AMQPError.self) {
                try await publisher.waitUntilConnected(within: .milliseconds(100))
            }
            #expect(error?.code == .unreachable)
            let kind = await outcome { () throws(PublishError) in
                try await publisher.publish(Publication(exchange: "", routingKey: "q", body: []))
            }
            #expect(kind == .unavailable)
            group.cancelAll()
        }
        #expect(publisher.state == .disconnected(lastError: nil))
    }

    /// A graceful shutdown takes nothing new, but those under way get their confirms.
    @Test func gracefulShutdownFlushes() async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                try await connection.declareQueue("work")
                try await withBrokerProxy(to: configuration.port) { proxy in
                    var slow = configuration
                    (slow.host, slow.port) = ("127.0.0.1", proxy.port)
                    let publisher = Publisher(configuration: slow, logger: quiet)
                    try await testGracefulShutdown { trigger in
                        try await withThrowingTaskGroup(of: Void.self) { group in
                            group.addTask { try await publisher.run() }
                            try await publisher.waitUntilConnected(within: .seconds(20))
                            proxy.behaviour = .delay(.milliseconds(300))
                            for _ in 0..<20 {
                                group.addTask {
                                    try await publisher.publish(Publication(exchange: "", routingKey: "work", body: []))
                                }
                            }
                            try await eventually { try await connection.checkQueue("work").messageCount == 20 }
                            trigger.triggerGracefulShutdown()
                            try await group.waitForAll()
                        }
                    }
                    let kind = await outcome { () throws(PublishError) in
                        try await publisher.publish(Publication(exchange: "", routingKey: "work", body: []))
                    }
                    #expect(kind == .unavailable)
                }
            }
        }
    }
}
