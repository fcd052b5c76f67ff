import AMQP
import Testing

/// What we make of words that a healthy broker seldom or never says.
@Suite(.timeLimit(.minutes(1))) struct BrokerWordTests {
    private func withClient(_ body: (FakeBroker, Publisher) async throws -> Void) async throws {
        try await withFakeBroker { broker in
            var configuration = AMQPConfiguration(
                host: "127.0.0.1", port: broker.port, user: "u", password: "p", virtualHost: "/", connectionName: "fake"
            )
            configuration.backoff = Backoff(base: .milliseconds(10), cap: .milliseconds(20))
            configuration.rpcTimeout = .milliseconds(500)
            try await withPublisher(configuration, confirmTimeout: .seconds(20)) { try await body(broker, $0) }
        }
    }

    private let publication = Publication(exchange: "e", routingKey: "k", body: [1, 2, 3])

    private func error(_ publisher: Publisher) async -> PublishError? {
        do throws(PublishError) {
            try await publisher.publish(publication)
            return nil
        } catch {
            return error
        }
    }

    @Test func blockedConnectionTakesNothingUntilItIsUnblocked() async throws {
        try await withClient { broker, publisher in
            async let underWay = error(publisher)
            try await eventually { broker.publishes == 1 }
            broker.say(FakeBroker.method(0, 10, 60, FakeBroker.short("low on memory")))
            try await eventually { publisher.state == .blocked(reason: "low on memory") }
            let refused = await error(publisher)
            #expect(refused?.kind == .unavailable)
            #expect(refused?.underlying?.message.contains("low on memory") == true)

            broker.say(FakeBroker.method(0, 10, 61))
            try await publisher.waitUntilConnected(within: .seconds(10))
            async let next = error(publisher)
            try await eventually { broker.publishes == 2 }
            broker.say(FakeBroker.method(1, 60, 80, FakeBroker.tag(2) + [1]))
            #expect(await [underWay, next] == [nil, nil])
        }
    }

    @Test func oneConfirmMayCoverMany() async throws {
        try await withClient { broker, publisher in
            let kinds = try await withThrowingTaskGroup(of: PublishError.Kind?.self) { group in
                for _ in 0..<5 { group.addTask { await self.error(publisher)?.kind } }
                try await eventually { broker.publishes == 5 }
                broker.say(
                    FakeBroker.method(1, 60, 80, FakeBroker.tag(2) + [0])
                        + FakeBroker.method(1, 60, 120, FakeBroker.tag(4) + [1])
                        + FakeBroker.method(1, 60, 80, FakeBroker.tag(5) + [0]))
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(kinds.count { $0 == nil } == 2)
            #expect(kinds.count { $0 == .refused } == 3)
        }
    }

    @Test(arguments: 0..<7) func nonsenseEndsTheConnectionAndNothingElse(index: Int) async throws {
        let words: [[UInt8]] = [
            // A confirm for a tag never used; a header without its method; a body without its header.
            FakeBroker.method(1, 60, 80, FakeBroker.tag(99) + [0]),
            FakeBroker.frame(2, 1, [0, 60, 0, 0] + FakeBroker.tag(5) + [0, 0]),
            FakeBroker.frame(3, 1, [1, 2, 3]),
            // A method that does not exist; a frame cut short by its own length; a wrong frame end; not AMQP at all.
            FakeBroker.method(1, 99, 99),
            [1, 0, 1, 0, 0, 0, 2, 0, 60, 0xCE],
            [1, 0, 1, 0, 0, 0, 4, 0, 60, 0, 80, 0x00],
            Array(repeating: 0xFF, count: 64),
        ]
        try await withClient { broker, publisher in
            async let underWay = error(publisher)
            try await eventually { broker.publishes == 1 }
            broker.say(words[index])
            let error = try #require(await underWay)
            #expect(error.kind == .unknown)
            try await publisher.waitUntilConnected(within: .seconds(10))
        }
    }
}
