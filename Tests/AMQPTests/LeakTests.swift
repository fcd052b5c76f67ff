import AMQP
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct LeakTests {
    @Test func usesLeaveNothingBehind() async {
        await #expect(processExitsWith: .success) {
            try await withVirtualHost { configuration in
                try await withConnection(configuration) { _ = try await $0.declareQueue("work") }
                try await LeakTests.use(configuration, connections: 5, messages: 10_000)
                let before = try ProcessCensus()

                try await LeakTests.use(configuration, connections: 200, messages: 30_000)
                let left = try await ProcessCensus.excess(over: before)
                #expect(left.isEmpty, "left by 200 connections, a publisher and a consumer: \(left)")
                let growth = try ProcessCensus().residentKiB - before.residentKiB
                // The bodies alone are 60,000 KiB.
                #expect(
                    growth < 20_000 || ProcessCensus.isSanitized, "\(growth) KiB more after 30,000 messages of 2 kB")
            }
        }
    }

    private static func use(_ configuration: AMQPConfiguration, connections: Int, messages: Int) async throws {
        for _ in 0..<connections {
            try await withConnection(configuration) { _ = try await $0.checkQueue("work") }
        }
        try await withPublisher(configuration, window: 500) { publisher in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<messages {
                    if number >= 500 { try await group.next() }
                    group.addTask {
                        try await publisher.publish(
                            Publication(exchange: "", routingKey: "work", body: Array(repeating: 7, count: 2_000)))
                    }
                }
                try await group.waitForAll()
            }
        }
        try await withConsumer(configuration, [Subscription(queue: "work", prefetch: 200)]) { consumer in
            var count = 0
            while count < messages {
                for delivery in await consumer.nextBatch(upTo: 100) {
                    count += 1
                    consumer.acknowledge(delivery)
                }
            }
        }
    }
}
