import AMQP
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
                        headers: ["a": "text", "n": 7, "deep": ["list": [1, true, nil, 2.5]], "raw": .bytes([0, 255])],
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
}
