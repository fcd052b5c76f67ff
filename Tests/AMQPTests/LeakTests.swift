import AMQP
import Foundation
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(3))) struct LeakTests {
    private func entries(_ directory: String) throws -> Set<String> {
        Set(try FileManager.default.contentsOfDirectory(atPath: directory))
    }

    /// Runs alone in a process of its own (`swift test --filter LeakTests`): it counts the descriptors and threads of all.
    @Test func usesLeaveNoDescriptorAndNoThreadBehind() async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { _ = try await $0.declareQueue("work") }
            let descriptors = try entries("/proc/self/fd").count
            let threads = try entries("/proc/self/task").count

            for _ in 0..<200 {
                try await withConnection(configuration) { _ = try await $0.checkQueue("work") }
            }
            try await withPublisher(configuration) { publisher in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<10_000 {
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
                while count < 10_000 {
                    for delivery in await consumer.nextBatch(upTo: 100) {
                        count += 1
                        consumer.acknowledge(delivery)
                    }
                }
            }
            // Threads end and duplicates are closed a moment after the last reference goes.
            try await eventually {
                try entries("/proc/self/fd").count <= descriptors && entries("/proc/self/task").count <= threads
            }
        }
    }
}
