import AMQP
import Foundation
import Messaging
import Persistence
import Postgres
import TestSupport
import Testing
import WorkerRuntime

@Suite(.timeLimit(.minutes(2))) struct PauseTests {
    /// A watch that would find out by looking only after an hour, so that what happens is due to the notification.
    private func watch(_ pool: PostgresPool, interval: Duration = .seconds(3_600)) async throws -> PauseWatch {
        let watch = PauseWatch(pool: pool, interval: interval, logger: .silent)
        try await watch.load()
        return watch
    }

    private func consumers(_ rig: Rig) async throws -> Int {
        try await rig.withConnection { try await $0.checkQueue(Rig.queue).consumerCount }
    }

    @discardableResult
    private func pause(_ rig: Rig) async throws -> Bool {
        try await rig.pool.withTransaction { transaction in
            try await QueuePauses.pause(Rig.queue, reason: "a test", by: "ann", in: transaction)
        }
    }

    @discardableResult
    private func resume(_ rig: Rig) async throws -> Bool {
        try await rig.pool.withTransaction { try await QueuePauses.resume(Rig.queue, in: $0) }
    }

    @Test func aPausedQueueRestsUntilItIsResumed() async throws {
        try await Rig.with { rig in
            let running = try await rig.start(pauses: watch(rig.pool), handle: insertEffect)
            try await rig.publish("before")
            try await eventually { running.worker.counts.handled == 1 }
            try await pause(rig)
            try await eventually { try await consumers(rig) == 0 }
            try await rig.publish("a", "b", "c")
            #expect(try await rig.ready(Rig.queue) == 3)
            // A queue nobody may take from is no fault of the connection.
            #expect(running.consumer.state == .connected)
            try await resume(rig)
            try await eventually { running.worker.counts.handled == 4 }
            try await running.stop()
            #expect(try await rig.effects() == ["a", "b", "before", "c"])
        }
    }

    @Test func whatIsInHandAtThePauseIsFinishedAndTheRestStays() async throws {
        try await Rig.with { rig in
            let gate = Gate()
            let running = try await rig.start(Rig.configuration(concurrency: 2), pauses: watch(rig.pool)) {
                envelope, context in
                await gate.pass()
                return try await insertEffect(envelope, context)
            }
            try await rig.publish((0..<10).map { Rig.message("m\($0)") })
            try await eventually { gate.waiting == 2 }
            try await eventually { try await rig.ready(Rig.queue) == 0 }
            try await pause(rig)
            // The prefetch has room for many more, so what stays is due to the pause. (A quorum queue counts a cancelled
            // consumer for as long as it holds deliveries.)
            var late = 0
            var rounds = 0
            try await eventually {
                try await rig.publish("late\(late)")
                late += 1
                // Once may be a message on its way to the consumer.
                rounds = try await rig.ready(Rig.queue) > 0 ? rounds + 1 : 0
                return rounds == 2
            }
            let waiting = try await rig.ready(Rig.queue)
            gate.open()
            try await eventually { running.worker.counts.handled == 10 + late - waiting }
            #expect(try await rig.ready(Rig.queue) == waiting)
            try await running.stop()
            let receipt = try #require(running.worker.drainReceipt)
            #expect(receipt.inHand == 0)
            // Nothing was given back: what came after the pause has never been delivered. (What crosses the cancellation of a
            // consumer is returned by RabbitMQ 3.10 itself, and counted.)
            var delivery = try await rig.receive(Rig.queue)
            for _ in 1..<waiting { delivery = try await rig.receive(Rig.queue) }
            #expect(delivery.properties.messageID == "late\(late - 1)")
            #expect(!DeliveryHistory(delivery).hasCrashEvidence)
        }
    }

    @Test func aWorkerThatStartsLaterTakesNothingOfAPausedQueue() async throws {
        try await Rig.with { rig in
            try await pause(rig)
            try await rig.publish("a", "b")
            let first = try await rig.start(pauses: watch(rig.pool), handle: insertEffect)
            #expect(try await rig.ready(Rig.queue) == 2)
            try await first.stop()
            let second = try await rig.start(pauses: watch(rig.pool)) { envelope, context in
                return try await insertEffect(envelope, context)
            }
            #expect(second.worker.counts.handled == 0)
            try await resume(rig)
            try await eventually { second.worker.counts.handled == 2 }
            try await second.stop()
            // Nobody has had them in hand before.
            #expect(try await rig.pool.query("select 1 as one from suspects").isEmpty)
        }
    }

    @Test func aPauseOutlivesTheBrokersConnection() async throws {
        try await Rig.with { rig in
            try await withBrokerProxy(to: rig.broker.port) { proxy in
                var broker = rig.broker
                broker.host = "127.0.0.1"
                broker.port = proxy.port
                let running = try await rig.start(
                    consumerBroker: broker, pauses: watch(rig.pool), handle: insertEffect)
                try await pause(rig)
                try await eventually { try await consumers(rig) == 0 }
                try await rig.publish("a")
                for round in 1...3 {
                    proxy.cut()
                    try await eventually { proxy.accepted >= round + 1 && running.consumer.state == .connected }
                    #expect(try await consumers(rig) == 0)
                }
                #expect(running.worker.counts.handled == 0)
                try await resume(rig)
                try await eventually { running.worker.counts.handled == 1 }
                try await running.stop()
            }
        }
    }

    /// Without the database nobody can know; so nothing changes, neither way, and what was missed is caught up on.
    @Test func withTheDatabaseAwayTheLastKnownStateHolds() async throws {
        try await Rig.with { rig in
            let port = try #require(URL(string: BrokerManagement.environment("DATABASE_URL"))?.port)
            try await withBrokerProxy(to: port) { proxy in
                let pool = PostgresPool(
                    configuration: rig.pool.configuration.withParameter("port", "\(proxy.port)")
                        .withParameter("host", "127.0.0.1"), size: 2, acquireTimeout: .milliseconds(300),
                    shutdownTimeout: .seconds(1), logger: .silent)
                let running = try await rig.start(
                    pauses: watch(pool, interval: .milliseconds(100)), handle: insertEffect)
                try await pause(rig)
                try await eventually { try await consumers(rig) == 0 }

                proxy.accepts = false
                proxy.cut()
                try await rig.publish("a")
                // Nobody hears of it.
                try await resume(rig)
                await #expect(throws: PostgresError.self) { _ = try await pool.query("select 1") }
                #expect(try await consumers(rig) == 0)
                #expect(running.worker.counts.handled == 0)

                proxy.accepts = true
                try await eventually { running.worker.counts.handled == 1 }

                proxy.accepts = false
                proxy.cut()
                try await pause(rig)
                try await rig.publish("b")
                // Not known to be paused, it goes on.
                try await eventually { running.worker.counts.handled == 2 }
                proxy.accepts = true
                try await eventually { try await consumers(rig) == 0 }
                try await running.stop()
                await pool.shutDown()
            }
        }
    }

    @Test func aMissedNotificationIsMadeUpForByLooking() async throws {
        try await Rig.with { rig in
            let running = try await rig.start(
                pauses: watch(rig.pool, interval: .milliseconds(50)), handle: insertEffect)
            _ = try await rig.pool.query("insert into queue_pauses (queue, paused_by) values (\(Rig.queue), 'ann')")
            try await eventually { try await consumers(rig) == 0 }
            _ = try await rig.pool.query("delete from queue_pauses")
            try await eventually { try await consumers(rig) == 1 }
            try await running.stop()
        }
    }

    @Test func everyWorkerFollows() async throws {
        try await Rig.with { rig in
            var running: [Rig.Running] = []
            for _ in 0..<4 {
                running.append(try await rig.start(pauses: watch(rig.pool), handle: insertEffect))
            }
            #expect(try await consumers(rig) == 4)
            try await pause(rig)
            try await eventually { try await consumers(rig) == 0 }
            try await resume(rig)
            try await eventually { try await consumers(rig) == 4 }
            for one in running { try await one.stop() }
        }
    }

    @Test func pausingTwiceKeepsTheFirstReason() async throws {
        try await Rig.with { rig in
            #expect(try await pause(rig))
            let again = try await rig.pool.withTransaction { transaction in
                try await QueuePauses.pause(Rig.queue, reason: "another", by: "bob", in: transaction)
            }
            #expect(!again)
            let pauses = try await QueuePauses.all(on: rig.pool)
            #expect(pauses.map(\.by) == ["ann"] && pauses.map(\.reason) == ["a test"])
            #expect(try await resume(rig))
            #expect(try await !resume(rig))
        }
    }
}
