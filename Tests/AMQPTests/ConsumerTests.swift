import AMQP
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct ConsumerTests {
    @Test func deliversAndSettles() async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                try await connection.declareQueue("work", arguments: quorum)
                for index in 0..<10 {
                    try await connection.publish(
                        Publication(exchange: "", routingKey: "work", body: [UInt8(index)]))
                }
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
                try await eventually { try await connection.checkQueue("work").consumerCount == 0 }
                #expect(try await connection.checkQueue("work").messageCount == 0)
            }
        }
    }
}
