import AMQP
import TestSupport
import Testing

/// What publishes end with when the network or the broker fails them.
@Suite(.timeLimit(.minutes(3))) struct PublisherFaultTests {
    /// A virtual host with the queue `work`, seen through a proxy.
    private func withFaults(
        _ body: (AMQPConfiguration, BrokerProxy, Connection) async throws -> Void
    ) async throws {
        try await withVirtualHost { configuration in
            try await withConnection(configuration) { connection in
                try await connection.declareQueue("work")
                try await withBrokerProxy(to: configuration.port) { proxy in
                    var proxied = configuration
                    (proxied.host, proxied.port) = ("127.0.0.1", proxy.port)
                    try await body(proxied, proxy, connection)
                }
            }
        }
    }

    private func publication(_ size: Int = 10) -> Publication {
        Publication(exchange: "", routingKey: "work", body: Array(repeating: 1, count: size))
    }

    private func error(_ publisher: Publisher, _ publication: Publication) async -> PublishError? {
        do throws(PublishError) {
            try await publisher.publish(publication)
            return nil
        } catch {
            return error
        }
    }

    /// librabbitmq 0.11 on its own hangs here for ever: the first publish goes into the void, and so does a second one
    /// that is made after the heartbeat is overdue.
    @Test func publishToASilentPeerFailsWithinTwoHeartbeats() async throws {
        try await withFaults { configuration, proxy, _ in
            var configuration = configuration
            configuration.heartbeat = .seconds(2)
            try await withPublisher(configuration, confirmTimeout: .seconds(60)) { publisher in
                try await publisher.publish(publication())
                proxy.behaviour = .blackHole
                let start = ContinuousClock.now
                let error = await error(publisher, publication())
                #expect(error?.kind == .unknown)
                #expect(error?.underlying?.code == .peerSilent)
                // The promise is about time, so this is: four seconds, and two more for a busy machine.
                #expect(ContinuousClock.now - start < .seconds(6))
                #expect(await self.error(publisher, publication())?.kind == .unavailable)

                proxy.behaviour = .pass
                try await publisher.waitUntilConnected(within: .seconds(20))
                try await publisher.publish(publication())
            }
        }
    }

    /// The peer stops reading in the middle of a body that fits no buffer: the library waits inside its send, where only
    /// the watchdog reaches it.
    @Test func publishStuckInAWriteIsCut() async throws {
        try await withFaults { configuration, proxy, connection in
            var configuration = configuration
            configuration.heartbeat = .seconds(2)
            try await withPublisher(configuration, confirmTimeout: .seconds(60)) { publisher in
                try await publisher.publish(publication())
                proxy.behaviour = .stall
                let start = ContinuousClock.now
                let error = await error(publisher, publication(Publication.maxBodyBytes))
                #expect(error?.kind == .unknown)
                #expect(error?.underlying?.code == .peerSilent)
                #expect(ContinuousClock.now - start < .seconds(6))
                proxy.behaviour = .pass
                proxy.cut()
                try await publisher.waitUntilConnected(within: .seconds(20))
                try await publisher.publish(publication())
                try await eventually { try await connection.checkQueue("work").messageCount == 2 }
            }
        }
    }

    /// A large body on a narrow line takes several heartbeats and never stops: nothing hangs, so nothing is cut.
    @Test func publishThatMakesProgressIsNotCut() async throws {
        try await withFaults { configuration, proxy, connection in
            var configuration = configuration
            configuration.heartbeat = .seconds(2)
            try await withPublisher(configuration, confirmTimeout: .seconds(120)) { publisher in
                try await publisher.publish(publication())
                proxy.behaviour = .trickle(bytes: 65_536, pause: .milliseconds(50))
                try await publisher.publish(publication(Publication.maxBodyBytes))
                #expect(proxy.accepted == 1)
                #expect(try await connection.checkQueue("work").messageCount == 2)
            }
        }
    }

    /// A line so narrow that the body would take a minute: the write ends when nobody waits for it any more.
    @Test func progressDoesNotOutliveThePublish() async throws {
        try await withFaults { configuration, proxy, _ in
            var configuration = configuration
            configuration.heartbeat = .seconds(1)
            try await withPublisher(configuration, confirmTimeout: .seconds(3)) { publisher in
                try await publisher.publish(publication())
                proxy.behaviour = .trickle(bytes: 16_384, pause: .milliseconds(50))
                let error = await error(publisher, publication(Publication.maxBodyBytes))
                #expect(error?.kind == .unknown)
                // Cut, and not merely given up on after the write had come to its end.
                #expect(error?.underlying?.message.contains("a write to the broker") == true)
                proxy.behaviour = .pass
                proxy.cut()
                try await publisher.waitUntilConnected(within: .seconds(20))
                try await publisher.publish(publication())
            }
        }
    }

    /// Whoever waits for a connection is told when there will be none, whatever limit he gave.
    @Test(arguments: [true, false]) func waitingForAConnectionEndsWithThePublisher(isEarly: Bool) async throws {
        // Nobody listens on port 1.
        let configuration = AMQPConfiguration(
            host: "127.0.0.1", port: 1, user: "u", password: "p", virtualHost: "/", connectionName: "test")
        let publisher = Publisher(configuration: configuration, logger: quiet)
        let run = Task { try await publisher.run() }
        try await eventually { if case .disconnected = publisher.state { true } else { false } }
        if !isEarly {
            run.cancel()
            try await run.value
        }
        let failure = try await #require(throws: AMQPError.self) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<10 { group.addTask { try await publisher.waitUntilConnected(within: .seconds(3_600)) } }
                run.cancel()
                try await group.waitForAll()
            }
        }
        #expect(failure.code == .closed)
    }

    /// The broker holds us back by not reading: publishes wait outside of the library, and the loop lives on.
    @Test func slowReaderDoesNotBlockTheLoop() async throws {
        try await withFaults { configuration, proxy, connection in
            try await withPublisher(configuration, confirmTimeout: .seconds(30)) { publisher in
                try await publisher.publish(publication())
                proxy.behaviour = .stall
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<400 { group.addTask { try await publisher.publish(self.publication(60_000)) } }
                    try await eventually { proxy.accepted == 1 && publisher.state == .connected }
                    try await Task.sleep(for: .milliseconds(300))
                    proxy.behaviour = .pass
                    try await group.waitForAll()
                }
                #expect(try await connection.checkQueue("work").messageCount == 401)
            }
        }
    }

    /// Nothing is lost silently and nothing is sent twice: a publish is confirmed and stored, or it is reported.
    @Test func cutConnectionReportsWhatIsUnknown() async throws {
        try await withFaults { configuration, proxy, connection in
            try await withPublisher(configuration) { publisher in
                proxy.behaviour = .mute
                let kinds = await withTaskGroup(of: PublishError.Kind?.self) { group in
                    for _ in 0..<500 {
                        group.addTask { await self.error(publisher, self.publication())?.kind }
                    }
                    // Some are in the broker then, and none is confirmed.
                    group.addTask {
                        try? await eventually { try await connection.checkQueue("work").messageCount > 0 }
                        proxy.cut()
                        return nil
                    }
                    return await group.reduce(into: []) { $0.append($1) }
                }
                let confirmed = kinds.count { $0 == nil } - 1
                let unknown = kinds.count { $0 == .unknown }
                let unsent = kinds.count { $0 == .unavailable }
                #expect(confirmed + unknown + unsent == 500)
                #expect(unknown > 0)
                proxy.behaviour = .pass
                try await publisher.waitUntilConnected(within: .seconds(20))
                try await publisher.publish(publication())
                let stored = try await connection.checkQueue("work").messageCount
                #expect((confirmed + 1...confirmed + unknown + 1).contains(stored))
            }
        }
    }

    @Test func lateConfirmIsReportedAsUnknownAndThenIgnored() async throws {
        try await withFaults { configuration, proxy, connection in
            try await withPublisher(configuration, confirmTimeout: .milliseconds(200)) { publisher in
                proxy.behaviour = .delay(.milliseconds(600))
                let error = await error(publisher, publication())
                #expect(error?.kind == .unknown)
                #expect(error?.underlying?.code == .timedOut)
                proxy.behaviour = .pass
                try await eventually { await self.error(publisher, publication()) == nil }
                #expect(publisher.state == .connected)
                #expect(proxy.accepted == 1)
            }
        }
    }

    @Test func fullWindowFailsOrWaits() async throws {
        try await withFaults { configuration, proxy, _ in
            try await withPublisher(configuration, window: 2, confirmTimeout: .seconds(30)) { publisher in
                proxy.behaviour = .delay(.milliseconds(500))
                async let first = error(publisher, publication())
                async let second = error(publisher, publication())
                try await eventually { publisher.inFlight == 2 }
                let refused = await outcome { () throws(PublishError) in
                    try await publisher.publish(publication(), whenFull: .fail)
                }
                #expect(refused == .overloaded)
                // Waits for its turn, and is sent when one of the first two is confirmed.
                async let third = error(publisher, publication())
                #expect(await [first, second, third] == [nil, nil, nil])
            }
        }
    }

    @Test func cancellationEndsTheWait() async throws {
        try await withFaults { configuration, proxy, _ in
            try await withPublisher(configuration, window: 1, confirmTimeout: .seconds(30)) { publisher in
                proxy.behaviour = .blackHole
                // One waits for its confirm, the rest for room.
                let tasks = (0..<200).map { _ in Task { await self.error(publisher, self.publication())?.kind } }
                for task in tasks { task.cancel() }
                for task in tasks { #expect(await task.value == .cancelled) }
            }
        }
    }

    @Test func cancelledBeforeTheCallSendsNothing() async throws {
        try await withFaults { configuration, _, connection in
            try await withPublisher(configuration) { publisher in
                let task = Task {
                    try? await Task.sleep(for: .seconds(60))
                    return await self.error(publisher, self.publication())?.kind
                }
                task.cancel()
                #expect(await task.value == .cancelled)
            }
        }
    }

    @Test func closedByTheOperatorComesBack() async throws {
        try await withFaults { configuration, _, _ in
            var configuration = configuration
            configuration.connectionName = "victim"
            try await withPublisher(configuration) { publisher in
                let management = try BrokerManagement.fromEnvironment()
                var name: String?
                try await eventually {
                    name = try await management.connections(virtualHost: configuration.virtualHost)
                        .first { $0.clientName == "victim" }?.name
                    return name != nil
                }
                try await management.closeConnection(try #require(name))
                try await eventually { await self.error(publisher, self.publication()) == nil }
            }
        }
    }

    /// If the broker never answers, the window does not stay full for ever: the connection is made anew.
    @Test func unansweredWindowIsGivenUp() async throws {
        try await withFaults { configuration, proxy, _ in
            try await withPublisher(configuration, window: 4, confirmTimeout: .milliseconds(100)) { publisher in
                proxy.behaviour = .blackHole
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<4 {
                        group.addTask { #expect(await self.error(publisher, self.publication())?.kind == .unknown) }
                    }
                }
                proxy.behaviour = .pass
                try await eventually { await self.error(publisher, publication()) == nil }
                #expect(proxy.accepted >= 2)
            }
        }
    }
}
