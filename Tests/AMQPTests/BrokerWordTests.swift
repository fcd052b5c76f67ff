import AMQP
import Testing

/// What we make of words that a healthy broker seldom or never says.
@Suite(.timeLimit(.minutes(1))) struct BrokerWordTests {
    private func configuration(_ broker: FakeBroker) -> AMQPConfiguration {
        var configuration = AMQPConfiguration(
            host: "127.0.0.1", port: broker.port, user: "u", password: "p", virtualHost: "/", connectionName: "fake")
        configuration.backoff = Backoff(base: .milliseconds(10), cap: .milliseconds(20))
        configuration.rpcTimeout = .milliseconds(500)
        return configuration
    }

    private func withClient(
        confirmTimeout: Duration = .seconds(20), frameMax: UInt32 = 131_072,
        _ body: (FakeBroker, Publisher) async throws -> Void
    ) async throws {
        try await withFakeBroker(frameMax: frameMax) { broker in
            try await withPublisher(configuration(broker), confirmTimeout: confirmTimeout) { publisher in
                try await body(broker, publisher)
            }
        }
    }

    /// basic.return of `publication`, with the same content.
    private var returned: [UInt8] {
        FakeBroker.method(
            1, 60, 50, [1, 56] + FakeBroker.short("NO_ROUTE") + FakeBroker.short("e") + FakeBroker.short("k"))
            + FakeBroker.frame(2, 1, [0, 60, 0, 0] + FakeBroker.tag(3) + [0, 0]) + FakeBroker.frame(3, 1, [1, 2, 3])
    }

    private func confirm(_ tag: UInt32) -> [UInt8] { FakeBroker.method(1, 60, 80, FakeBroker.tag(tag) + [0]) }

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

    @Test func aReturnedMessageIsFoundByItsWords() async throws {
        try await withClient { broker, publisher in
            async let result = error(publisher)
            try await eventually { broker.publishes == 1 }
            broker.say(returned + confirm(1))
            #expect(await result?.kind == .returned(replyCode: 312, replyText: "NO_ROUTE"))
        }
    }

    /// The first was given up on and published again; what comes back late is the first.
    @Test func aLateReturnIsNotChargedToTheRetry() async throws {
        try await withClient(confirmTimeout: .seconds(2)) { broker, publisher in
            #expect(await error(publisher)?.kind == .unknown)
            async let retry = error(publisher)
            try await eventually { broker.publishes == 2 }
            broker.say(returned + confirm(1) + confirm(2))
            #expect(await retry == nil)
        }
    }

    @Test func aConnectionWhosePublishWasNotConfirmedInTimeIsGivenUp() async throws {
        try await withFakeBroker { broker in
            let connection = try await Connection.open(configuration(broker), logger: quiet)
            let first = await outcome { () throws(PublishError) in try await connection.publish(publication) }
            #expect(first == .unknown)
            // The broker's late words about the first must not become the second's.
            broker.say(returned + confirm(1) + confirm(2))
            let second = await outcome { () throws(PublishError) in try await connection.publish(publication) }
            #expect(second == .unavailable)
            await connection.close()
        }
    }

    /// Headers that fit into a frame of ours and not into one of the broker's would break the connection midway.
    @Test func theBrokersFrameSizeCounts() async throws {
        var large = publication
        large.properties.headers = ["h": .string(String(repeating: "x", count: 5_000))]
        func isTooLarge(_ kind: PublishError.Kind?) -> Bool {
            if case .invalid(let reason)? = kind { reason.contains("4096") } else { false }
        }
        try await withClient(frameMax: 4_096) { broker, publisher in
            let kind = await outcome { () throws(PublishError) in try await publisher.publish(large) }
            #expect(isTooLarge(kind), "\(String(describing: kind))")
            #expect(publisher.inFlight == 0)
            async let small = error(publisher)
            try await eventually { broker.publishes == 1 }
            broker.say(confirm(1))
            #expect(await small == nil)
        }
        try await withFakeBroker(frameMax: 4_096) { broker in
            let connection = try await Connection.open(configuration(broker), logger: quiet)
            let kind = await outcome { () throws(PublishError) in try await connection.publish(large) }
            #expect(isTooLarge(kind), "\(String(describing: kind))")
            await connection.close()
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
