import AMQP
import Foundation
import Messaging
import Persistence
import Postgres
import ServiceLifecycle
import TestSupport
import Testing
import WorkerRuntime

@Suite(.timeLimit(.minutes(1))) struct RelayTests {
    /// Publishers that run for the time of the body, on connections of their own.
    static func withPublishers<Result: Sendable>(
        _ configuration: AMQPConfiguration, count: Int = 1, _ body: ([Publisher]) async throws -> Result
    ) async throws -> Result {
        let publishers = (0..<count).map { _ in Publisher(configuration: configuration, logger: .silent) }
        let runs = publishers.map { publisher in Task { try await publisher.run() } }
        do {
            let result = try await body(publishers)
            for run in runs { run.cancel() }
            return result
        } catch {
            for run in runs { run.cancel() }
            throw error
        }
    }

    static func event(_ id: String, exchange: Exchange = .events) -> OutgoingMessage {
        OutgoingMessage(
            exchange: exchange,
            envelope: Envelope(
                id: id, type: .jobScheduled, correlationID: "c", causationID: "p", timestamp: Date(),
                receivedAt: Date(timeIntervalSince1970: 1_800_000_000.125), schemaVersion: 2, traceParent: "00-a-b-01",
                body: Array("{}".utf8)))
    }

    static func store(_ messages: [OutgoingMessage], availableAt: Date? = nil, on pool: PostgresPool) async throws {
        _ = try await pool.pipeline(messages.map { Outbox.insertion($0, availableAt: availableAt) })
    }

    @Test func whatAHandlerPublishesLeavesRightAfterItsCommitAndOnlyThen() async throws {
        try await Rig.with { rig in
            // Only the wake-up can relay within the time limit.
            let running = try await rig.start(relayInterval: .seconds(600)) { envelope, context in
                try await context.publish(Self.event(envelope.id + "/child"))
                try await context.publish(Self.event(envelope.id + "/child"))
                return envelope.id == "bad" ? .deadLetter(code: "no", detail: "") : .done
            }
            try await rig.publish("bad")
            _ = try await rig.receive("work.dead")
            try await rig.publish("good")
            let delivery = try await rig.receive("unrouted")
            try await running.stop()
            #expect(delivery.properties.messageID == "good/child")
            #expect(delivery.exchange == "events" && delivery.routingKey == "job.scheduled")
            #expect(try await rig.ready("unrouted") == 0)
            #expect(try await Outbox.backlog(rig.pool).count == 0)
        }
    }

    @Test func aRelayedMessageKeepsEverythingItWasStoredWith() async throws {
        try await Rig.with { rig in
            let message = Self.event("m")
            try await Self.store([message], on: rig.pool)
            try await Self.withPublishers(rig.broker) { publishers in
                try await publishers[0].waitUntilConnected(within: .seconds(20))
                let relay = OutboxRelay(pool: rig.pool, publisher: publishers[0], logger: .silent)
                #expect(await relay.sweepUntilEmpty())
            }
            let delivery = try await rig.receive("unrouted")
            var back = try Envelope(delivery, now: Date())
            #expect(abs(back.timestamp.timeIntervalSinceNow) < 60)
            back.timestamp = message.envelope.timestamp
            #expect(back == message.envelope)
        }
    }

    @Test func messagesWaitForTheBrokerAndLeaveWhenItIsBack() async throws {
        try await Rig.with { rig in
            try await withBrokerProxy(to: rig.broker.port) { proxy in
                proxy.accepts = false
                var broker = rig.broker
                broker.port = proxy.port
                try await Self.withPublishers(broker) { publishers in
                    let relay = OutboxRelay(
                        pool: rig.pool, publisher: publishers[0], interval: .milliseconds(50), logger: .silent)
                    let group = ServiceGroup(
                        configuration: ServiceGroupConfiguration(services: [relay], logger: .silent))
                    let run = Task { try await group.run() }
                    try await Self.store((0..<450).map { Self.event("m\($0)") }, on: rig.pool)
                    relay.wake()
                    #expect(await !relay.sweepUntilEmpty())
                    let backlog = try await Outbox.backlog(rig.pool)
                    #expect(backlog.count == 450 && backlog.lag > 0)
                    proxy.accepts = true
                    try await eventually { try await Outbox.backlog(rig.pool).count == 0 }
                    // Gone again, and back: what was under way may be out twice, but nothing is missing.
                    proxy.cut()
                    try await Self.store((450..<600).map { Self.event("m\($0)") }, on: rig.pool)
                    relay.wake()
                    proxy.cut()
                    try await eventually { try await Outbox.backlog(rig.pool).count == 0 }
                    await group.triggerGracefulShutdown()
                    try await run.value
                }
            }
            var ids: Set<String> = []
            let count = try await rig.ready("unrouted")
            for delivery in try await Self.takeAll(rig, "unrouted", count) {
                ids.insert(delivery.properties.messageID ?? "")
            }
            #expect(ids.count == 600)
        }
    }

    @Test func relaysShareTheOutboxWithoutPublishingAnythingTwice() async throws {
        try await Rig.with { rig in
            try await Self.store((0..<1_000).map { Self.event("m\($0)") }, on: rig.pool)
            try await Self.withPublishers(rig.broker, count: 3) { publishers in
                for publisher in publishers { try await publisher.waitUntilConnected(within: .seconds(20)) }
                await withDiscardingTaskGroup { group in
                    for publisher in publishers {
                        let relay = OutboxRelay(pool: rig.pool, publisher: publisher, logger: .silent)
                        group.addTask { _ = await relay.sweepUntilEmpty() }
                    }
                }
            }
            #expect(try await Outbox.backlog(rig.pool).count == 0)
            #expect(try await rig.ready("unrouted") == 1_000)
        }
    }

    @Test func aMessageThatComesBackStaysAndDoesNotHoldUpOthers() async throws {
        try await Rig.with { rig in
            // The exchange `dead` has no alternate, and nothing is bound under this key.
            try await Self.store([Self.event("lost", exchange: .dead), Self.event("fine")], on: rig.pool)
            try await Self.withPublishers(rig.broker) { publishers in
                try await publishers[0].waitUntilConnected(within: .seconds(20))
                let relay = OutboxRelay(pool: rig.pool, publisher: publishers[0], logger: .silent)
                #expect(await relay.sweepUntilEmpty())
            }
            #expect(try await rig.receive("unrouted").properties.messageID == "fine")
            let rows = try await rig.pool.query("select message_id from outbox where available_at > now()")
            #expect(try rows.map { try $0.decode("message_id", as: String.self) } == ["lost"])
        }
    }

    @Test func aScheduledMessageWaitsForItsTime() async throws {
        try await Rig.with { rig in
            try await Self.store([Self.event("later")], availableAt: Date() + 3_600, on: rig.pool)
            try await Self.withPublishers(rig.broker) { publishers in
                try await publishers[0].waitUntilConnected(within: .seconds(20))
                let relay = OutboxRelay(pool: rig.pool, publisher: publishers[0], logger: .silent)
                #expect(await relay.sweepUntilEmpty())
                #expect(try await rig.ready("unrouted") == 0)
                _ = try await rig.pool.query("update outbox set available_at = now()")
                #expect(await relay.sweepUntilEmpty())
                #expect(try await rig.ready("unrouted") == 1)
            }
        }
    }

    @Test func theSpoolDrainsInOrderThroughOutagesWithManyRelays() async throws {
        try await Rig.with { rig in
            try await withBrokerProxy(to: rig.broker.port) { proxy in
                var broker = rig.broker
                broker.port = proxy.port
                let ids = (0..<350).map { "s\($0)" }
                for id in ids {
                    var message = Self.event(id, exchange: .inbound)
                    message.envelope.signature = .stale
                    try await Spool.insert(message, on: rig.pool)
                    // The sender tries again while the first copy is here.
                    if id == "s7" { try await Spool.insert(message, on: rig.pool) }
                }
                #expect(try await Spool.backlog(rig.pool).count == ids.count)
                try await Self.withPublishers(broker, count: 2) { publishers in
                    let group = ServiceGroup(
                        configuration: ServiceGroupConfiguration(
                            services: publishers.map { publisher in
                                SpoolRelay(
                                    pool: rig.pool, publisher: publisher, interval: .milliseconds(20), logger: .silent)
                            }, logger: .silent))
                    let run = Task { try await group.run() }
                    for wanted in [50, 150, 250] {
                        try await eventually { try await rig.ready("unrouted") >= wanted }
                        proxy.cut()
                    }
                    try await eventually { try await Spool.backlog(rig.pool).count == 0 }
                    await group.triggerGracefulShutdown()
                    try await run.value
                }
                var seen: [String] = []
                for delivery in try await Self.takeAll(rig, "unrouted", try await rig.ready("unrouted")) {
                    let id = delivery.properties.messageID ?? ""
                    #expect(delivery.properties.headers[HeaderName.signature] == "stale")
                    // A repeat after a cut is allowed, overtaking is not.
                    if !seen.contains(id) { seen.append(id) }
                }
                #expect(seen == ids)
            }
        }
    }

    static func takeAll(_ rig: Rig, _ queue: String, _ count: Int) async throws -> [Delivery] {
        try await rig.withConnection { connection in
            var all: [Delivery] = []
            while all.count < count, let delivery = try await connection.get(queue) {
                all.append(delivery)
                try await connection.acknowledge(delivery)
            }
            return all
        }
    }
}
