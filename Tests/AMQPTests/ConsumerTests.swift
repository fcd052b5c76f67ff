import AMQP
import ServiceLifecycle
import ServiceLifecycleTestKit
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct ConsumerTests {
    private func withQueue(
        _ messages: Int, arguments: FieldTable = quorum,
        _ body: (AMQPConfiguration, Connection) async throws -> Void
    ) async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                try await connection.declareQueue("work", arguments: arguments)
                for index in 0..<messages {
                    try await connection.publish(Publication(exchange: "", routingKey: "work", body: [UInt8(index)]))
                }
                try await body(configuration, connection)
            }
        }
    }

    /// Takes deliveries one by one.
    private func next(_ consumer: Consumer) async throws -> Delivery {
        try #require(await consumer.nextBatch(upTo: 1).first)
    }

    @Test func deliversInOrderAndSettles() async throws {
        try await withQueue(10) { configuration, connection in
            try await withConsumer(configuration, [Subscription(queue: "work", prefetch: 4)]) { consumer in
                var seen: [UInt8] = []
                while seen.count < 10 {
                    let batch = await consumer.nextBatch(upTo: 3)
                    #expect((1...3).contains(batch.count))
                    for delivery in batch {
                        #expect(delivery.queue == "work")
                        seen += delivery.body
                        consumer.acknowledge(delivery)
                    }
                }
                #expect(seen == Array(0..<10))
            }
            // `close` came after the settlements: nothing went back.
            #expect(try await connection.checkQueue("work").messageCount == 0)
        }
    }

    @Test func prefetchBoundsWhatIsUnsettled() async throws {
        try await withQueue(10) { configuration, connection in
            try await withConsumer(configuration, [Subscription(queue: "work", prefetch: 3)]) { consumer in
                var held: [Delivery] = []
                while held.count < 3 { held += await consumer.nextBatch(upTo: 10) }
                #expect(held.count == 3)
                let ready = try await connection.checkQueue("work").messageCount
                #expect(ready == 7)
                consumer.acknowledge(held[1])
                let following = try await next(consumer)
                #expect(following.body == [3])
            }
            try await eventually { try await connection.checkQueue("work").messageCount == 9 }
        }
    }

    @Test func rejectedMessagesGoWhereTheQueueSaysAndReleasedOnesComeBack() async throws {
        try await withQueue(
            0,
            arguments: [
                "x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead",
            ]
        ) { configuration, connection in
            try await connection.declareQueue("dead")
            try await connection.publish(Publication(exchange: "", routingKey: "work", body: [1]))
            try await withConsumer(configuration, [Subscription(queue: "work", prefetch: 1)]) { consumer in
                let first = try await next(consumer)
                #expect(!first.isRedelivered)
                consumer.reject(first, requeue: true)
                let second = try await next(consumer)
                #expect(second.isRedelivered)
                #expect(second.properties.headers["x-delivery-count"]?.integer == 1)
                consumer.reject(second, requeue: false)
                try await eventually { try await connection.checkQueue("dead").messageCount == 1 }
                let letter = try #require(try await connection.get("dead"))
                let death = try #require(letter.properties.headers["x-death"]?.array?.first?.table)
                #expect(death["queue"] == "work")
                #expect(death["reason"] == "rejected")
                #expect(death["count"]?.integer == 1)
            }
        }
    }

    @Test func severalSubscriptionsShareTheConnection() async throws {
        try await withQueue(5) { configuration, connection in
            try await connection.declareQueue("urgent")
            for _ in 0..<5 {
                try await connection.publish(Publication(exchange: "", routingKey: "urgent", body: [99]))
            }
            let subscriptions = [
                Subscription(queue: "work", prefetch: 2), Subscription(queue: "urgent", prefetch: 2, priority: 5),
            ]
            try await withConsumer(configuration, subscriptions) { consumer in
                var counts: [String: Int] = [:]
                for _ in 0..<10 {
                    let delivery = try await next(consumer)
                    counts[delivery.queue, default: 0] += 1
                    consumer.acknowledge(delivery)
                }
                #expect(counts == ["work": 5, "urgent": 5])
            }
        }
    }

    @Test func manyTakersShareTheWorkWithoutRepeats() async throws {
        try await withQueue(0) { configuration, connection in
            try await withPublisher(configuration) { publisher in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for index in 0..<1_000 {
                        group.addTask {
                            try await publisher.publish(
                                Publication(exchange: "", routingKey: "work", body: Array("\(index)".utf8)))
                        }
                    }
                    try await group.waitForAll()
                }
            }
            try await withConsumer(configuration, [Subscription(queue: "work", prefetch: 100)]) { consumer in
                let bodies = await withTaskGroup(of: [[UInt8]].self) { group in
                    for _ in 0..<16 {
                        group.addTask {
                            var bodies: [[UInt8]] = []
                            while true {
                                let batch = await consumer.nextBatch(upTo: 7)
                                if batch.isEmpty { return bodies }
                                for delivery in batch {
                                    bodies.append(delivery.body)
                                    consumer.acknowledge(delivery)
                                }
                            }
                        }
                    }
                    group.addTask {
                        try? await eventually { try await connection.checkQueue("work").messageCount == 0 }
                        await consumer.stopTaking()
                        return []
                    }
                    return await group.reduce(into: []) { $0 += $1 }
                }
                #expect(bodies.count == 1_000)
                #expect(Set(bodies).count == 1_000)
            }
            #expect(try await connection.checkQueue("work").messageCount == 0)
        }
    }

    @Test func secondSettlementCostsNothing() async throws {
        try await withQueue(2) { configuration, _ in
            try await withConsumer(configuration, [Subscription(queue: "work", prefetch: 1)]) { consumer in
                let first = try await next(consumer)
                consumer.acknowledge(first)
                consumer.acknowledge(first)
                consumer.reject(first, requeue: true)
                let second = try await next(consumer)
                #expect(second.epoch == first.epoch)
                consumer.acknowledge(second)
            }
        }
    }

    @Test func lostConnectionBringsTheUnsettledAgainAndForgetsOldTags() async throws {
        try await withQueue(3) { configuration, connection in
            try await withBrokerProxy(to: configuration.port) { proxy in
                var proxied = configuration
                (proxied.host, proxied.port) = ("127.0.0.1", proxy.port)
                try await withConsumer(proxied, [Subscription(queue: "work", prefetch: 3)]) { consumer in
                    let stale = try await next(consumer)
                    proxy.cut()
                    // Of the old connection's deliveries some may have been taken before the loss was seen.
                    var fresh: [Delivery] = []
                    while fresh.count < 3 {
                        let batch = await consumer.nextBatch(upTo: 3)
                        try #require(!batch.isEmpty)
                        fresh += batch.filter { $0.epoch > stale.epoch }
                    }
                    #expect(fresh.allSatisfy { $0.isRedelivered })
                    // Same tag, other message, or the same again: either way it must not count.
                    consumer.acknowledge(stale)
                    consumer.acknowledge(fresh[1])
                    consumer.acknowledge(fresh[2])
                }
                try await eventually { try await connection.checkQueue("work").messageCount == 1 }
                #expect(try #require(try await connection.get("work")).body == [0])
            }
        }
    }

    @Test func silentPeerIsFoundOut() async throws {
        try await withQueue(1) { configuration, _ in
            try await withBrokerProxy(to: configuration.port) { proxy in
                var proxied = configuration
                (proxied.host, proxied.port) = ("127.0.0.1", proxy.port)
                proxied.heartbeat = .seconds(1)
                try await withConsumer(proxied, [Subscription(queue: "work", prefetch: 1)]) { consumer in
                    let first = try await next(consumer)
                    proxy.behaviour = .blackHole
                    try await eventually { !consumer.state.isConnected }
                    proxy.behaviour = .pass
                    let second = try await next(consumer)
                    #expect(second.epoch > first.epoch)
                }
            }
        }
    }

    @Test func deletedQueueIsShownAndConsumedAgainWhenItIsBack() async throws {
        try await withQueue(0) { configuration, connection in
            try await connection.declareQueue("other")
            // Time enough for the broker to finish deleting: a queue found in the middle of that costs the channel.
            var configuration = configuration
            configuration.backoff = Backoff(base: .milliseconds(500), cap: .seconds(1))
            let subscriptions = [Subscription(queue: "work", prefetch: 1), Subscription(queue: "other", prefetch: 1)]
            try await withConsumer(configuration, subscriptions) { consumer in
                try await connection.deleteQueue("work")
                try await eventually { if case .degraded = consumer.state { true } else { false } }
                // The other subscription goes on, over the same connection.
                try await connection.publish(Publication(exchange: "", routingKey: "other", body: [2]))
                let delivery = try await next(consumer)
                #expect((delivery.queue, delivery.epoch) == ("other", 1))
                consumer.acknowledge(delivery)

                try await connection.declareQueue("work", arguments: quorum)
                try await connection.publish(Publication(exchange: "", routingKey: "work", body: [1]))
                let back = try await next(consumer)
                // Caught in the middle of its creation the queue can refuse the consumer, which costs the connection once.
                #expect(back.queue == "work")
                try await consumer.waitUntilConnected(within: .seconds(10))
            }
        }
    }

    @Test func missingQueueIsWaitedFor() async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                let subscriptions = [Subscription(queue: "later", prefetch: 1)]
                try await withConsumer(configuration, subscriptions, isReady: false) { consumer in
                    // Once it has asked, the wait ends with what the broker said, and not with the time.
                    try await eventually { if case .degraded = consumer.state { true } else { false } }
                    let error = await #expect(throws: AMQPError.self) {
                        try await consumer.waitUntilConnected(within: .milliseconds(300))
                    }
                    #expect(error?.code == .notFound)
                    try await connection.declareQueue("later")
                    try await consumer.waitUntilConnected(within: .seconds(10))
                }
            }
        }
    }

    @Test func stopTakingLeavesTheBufferToBeTaken() async throws {
        try await withQueue(8) { configuration, connection in
            try await withConsumer(configuration, [Subscription(queue: "work", prefetch: 5)]) { consumer in
                var all = [try await next(consumer)]
                await consumer.stopTaking()
                while true {
                    let batch = await consumer.nextBatch(upTo: 2)
                    if batch.isEmpty { break }
                    all += batch
                }
                #expect(all.count == 5)
                for delivery in all { consumer.acknowledge(delivery) }
                // A quorum queue counts a cancelled consumer until everything it holds is settled.
                try await eventually { try await connection.checkQueue("work").consumerCount == 0 }
                #expect(await consumer.nextBatch(upTo: 1).isEmpty)
            }
            try await eventually { try await connection.checkQueue("work").messageCount == 3 }
        }
    }

    @Test func cancelledTakerGoesEmptyHanded() async throws {
        try await withQueue(0) { configuration, connection in
            try await withConsumer(configuration, [Subscription(queue: "work", prefetch: 5)]) { consumer in
                let takers = (0..<50).map { _ in Task { await consumer.nextBatch(upTo: 1) } }
                for taker in takers { taker.cancel() }
                for taker in takers { #expect(await taker.value.isEmpty) }
                // What comes afterwards is not given to those who have gone.
                try await connection.publish(Publication(exchange: "", routingKey: "work", body: [7]))
                #expect(try await next(consumer).body == [7])
            }
        }
    }

    @Test func gracefulShutdownWaitsForSettlements() async throws {
        try await withQueue(3) { configuration, connection in
            let consumer = Consumer(
                configuration: configuration, subscriptions: [Subscription(queue: "work", prefetch: 2)], logger: quiet)
            try await testGracefulShutdown { trigger in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await consumer.run() }
                    let first = try await next(consumer)
                    trigger.triggerGracefulShutdown()
                    // The rest of the prefetch is still handed out; then nothing more comes.
                    let second = try await next(consumer)
                    #expect(await consumer.nextBatch(upTo: 1).isEmpty)
                    consumer.acknowledge(second)
                    consumer.acknowledge(first)
                    try await group.waitForAll()
                }
            }
            #expect(consumer.state == .disconnected(lastError: nil))
            try await eventually { try await connection.checkQueue("work").messageCount == 1 }
        }
    }

    @Test func closingWithoutRunningReturns() async throws {
        let consumer = Consumer(
            configuration: AMQPConfiguration(
                host: "127.0.0.1", port: 1, user: "u", password: "p", virtualHost: "/", connectionName: "test"),
            subscriptions: [], logger: quiet)
        await consumer.close(within: .seconds(1))
        try await consumer.run()
        #expect(await consumer.nextBatch(upTo: 1).isEmpty)
    }
}

/// How much is taken of a queue can change while the consumer runs.
@Suite(.timeLimit(.minutes(2))) struct IntakeTests {
    private func withWork(
        _ messages: Int, _ body: (AMQPConfiguration, Connection) async throws -> Void
    ) async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                try await connection.declareQueue("work", arguments: quorum)
                for index in 0..<messages {
                    try await connection.publish(Publication(exchange: "", routingKey: "work", body: [UInt8(index)]))
                }
                try await body(configuration, connection)
            }
        }
    }

    @Test func nothingIsTakenFromTheBeginningAndWhatWasTakenStays() async throws {
        try await withWork(6) { configuration, connection in
            let consumer = Consumer(
                configuration: configuration, subscriptions: [Subscription(queue: "work", prefetch: 3)], logger: quiet)
            await consumer.setIntake(["work": .none])
            let running = Task { try await consumer.run() }
            try await consumer.waitUntilConnected(within: .seconds(20))
            #expect(try await connection.checkQueue("work").consumerCount == 0)
            await consumer.setIntake([:])
            var held: [Delivery] = []
            while held.count < 3 { held += await consumer.nextBatch(upTo: 10) }
            await consumer.setIntake(["work": .none])
            for delivery in held { consumer.acknowledge(delivery) }
            // Settling frees the prefetch, and still nothing comes. A quorum queue counts a cancelled consumer until it has
            // settled everything.
            try await eventually { try await connection.checkQueue("work").consumerCount == 0 }
            #expect(try await connection.checkQueue("work").messageCount == 3)
            await consumer.setIntake([:])
            for expected in 3..<6 {
                let delivery = try #require(await consumer.nextBatch(upTo: 1).first)
                #expect(delivery.body == [UInt8(expected)] && !delivery.isRedelivered)
                consumer.acknowledge(delivery)
            }
            await consumer.close(within: .seconds(2))
            try await running.value
        }
    }

    @Test func oneAtATimeIsOneWhateverThePrefetch() async throws {
        try await withWork(5) { configuration, connection in
            let consumer = Consumer(
                configuration: configuration, subscriptions: [Subscription(queue: "work", prefetch: 100)],
                logger: quiet)
            await consumer.setIntake(["work": .single])
            let running = Task { try await consumer.run() }
            try await consumer.waitUntilConnected(within: .seconds(20))
            for left in [4, 3] {
                let batch = await consumer.nextBatch(upTo: 10)
                #expect(batch.count == 1)
                #expect(try await connection.checkQueue("work").messageCount == left)
                batch.forEach(consumer.acknowledge)
            }
            await consumer.setIntake([:])
            var rest = 0
            while rest < 3 {
                let batch = await consumer.nextBatch(upTo: 10)
                rest += batch.count
                batch.forEach(consumer.acknowledge)
            }
            await consumer.close(within: .seconds(2))
            try await running.value
        }
    }
}
