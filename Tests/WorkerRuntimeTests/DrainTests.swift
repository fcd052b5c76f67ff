import AMQP
import Foundation
import Messaging
import Persistence
import Postgres
import ServiceLifecycle
import TestSupport
import Testing
import WorkerRuntime

@Suite(.timeLimit(.minutes(1))) struct DrainTests {
    @Test func workInHandIsFinishedBeforeTheWorkerEnds() async throws {
        try await Rig.with { rig in
            let gate = Gate()
            let running = try await rig.start(Rig.configuration(concurrency: 3)) { envelope, context in
                await gate.pass()
                return try await insertEffect(envelope, context)
            }
            try await rig.publish((0..<10).map { Rig.message("m\($0)") })
            // All ten are with the consumer: three in the lanes, the rest behind them.
            try await eventually { gate.waiting == 3 }
            try await eventually { try await rig.ready(Rig.queue) == 0 }
            let stopping = Task { try await running.stop() }
            try await eventually { running.worker.isDraining }
            // Returns once the subscription is gone, so what is published now stays.
            await running.consumer.stopTaking()
            try await rig.publish("late")
            gate.open()
            try await stopping.value
            let receipt = try #require(running.worker.drainReceipt)
            #expect(receipt.inHand == 10 && receipt.finished == 10 && receipt.deliveryCountsBurned == 0)
            #expect(try await rig.effects().count == 10)
            let late = try await rig.receive(Rig.queue)
            #expect(late.properties.messageID == "late" && !late.isRedelivered)
        }
    }

    @Test func whatIsNotFinishedByTheDeadlineIsPostponedAndNothingIsSpent() async throws {
        try await Rig.with { rig in
            let gate = Gate()
            let running = try await rig.start(Rig.configuration(concurrency: 2, drainDeadline: .seconds(2))) {
                envelope, context in
                _ = try await insertEffect(envelope, context)
                await gate.pass()
                try Task.checkCancellation()
                return .done
            }
            try await rig.publish((0..<5).map { Rig.message("m\($0)") })
            try await eventually { gate.waiting == 2 && running.worker.counts.inFlight > 0 }
            try await running.stop()
            let receipt = try #require(running.worker.drainReceipt)
            #expect(receipt.inHand == 5 && receipt.postponed == 5 && receipt.deliveryCountsBurned == 0)
            #expect(receipt.milliseconds < 3_000)
            let stored = try await DrainReceipts.latest(10, on: rig.pool)
            #expect(stored.map(\.postponed) == [5] && stored.map(\.worker) == ["work-1"])
            #expect(try await rig.effects() == [])
            for _ in 0..<5 {
                let delivery = try await rig.receive(Rig.queue)
                #expect(delivery.properties.headers[HeaderName.attempt] == 0)
                // The broker has counted nothing either: two were begun, three were not.
                #expect(!DeliveryHistory(delivery).hasCrashEvidence)
            }
        }
    }

    @Test func aHandlerThatIgnoresCancellationCannotHoldUpTheEnd() async throws {
        try await Rig.with { rig in
            let gate = Gate()
            let running = try await rig.start(Rig.configuration(concurrency: 1, drainDeadline: .seconds(1))) { _, _ in
                await Task { await gate.pass() }.value
                return .done
            }
            try await rig.publish("a")
            try await eventually { gate.waiting == 1 }
            try await running.stop()
            let receipt = try #require(running.worker.drainReceipt)
            #expect(receipt.left == 1 && receipt.finished == 0 && receipt.deliveryCountsBurned == 1)
            // Left with the broker, which takes it back.
            #expect(try await rig.receive(Rig.queue).properties.messageID == "a")
            gate.open()
        }
    }

    @Test func aWorkerWaitingForPostgresStopsInTimeAndSpendsNothing() async throws {
        try await Rig.with { rig in
            let port = try #require(URL(string: BrokerManagement.environment("DATABASE_URL"))?.port)
            try await withBrokerProxy(to: port) { proxy in
                proxy.accepts = false
                let pool = PostgresPool(
                    configuration: rig.pool.configuration.withParameter("port", "\(proxy.port)")
                        .withParameter("host", "127.0.0.1"), size: 2, acquireTimeout: .milliseconds(200),
                    shutdownTimeout: .seconds(1), logger: .silent)
                let running = try await rig.start(Rig.configuration(drainDeadline: .seconds(2)), workerPool: pool) {
                    _, _ in
                    Issue.record("there is no transaction to handle it in")
                    return .done
                }
                try await rig.publish("a", "b")
                try await eventually { running.worker.counts.inFlight == 2 }
                try await running.stop()
                await pool.shutDown()
                #expect(running.worker.drainReceipt?.postponed == 2)
                let delivery = try await rig.receive(Rig.queue)
                #expect(delivery.properties.headers[HeaderName.attempt] == 0)
            }
        }
    }

    /// A rolling restart under load: whatever is done and whatever is not, nothing counts as a crash.
    @Test func stoppingUnderLoadBurnsNoDeliveryOfUnstartedWork() async throws {
        try await Rig.with { rig in
            for round in 0..<3 {
                try await rig.publish((0..<120).map { Rig.message("m\(round)-\($0)") })
                let running = try await rig.start(
                    Rig.configuration(concurrency: 2, drainDeadline: .milliseconds(800))
                ) { envelope, context in
                    // Much too slow for what is in hand.
                    try await Task.sleep(for: .milliseconds(40))
                    return try await insertEffect(envelope, context)
                }
                try await eventually { running.worker.counts.handled >= 5 }
                try await running.stop()
                let receipt = try #require(running.worker.drainReceipt)
                #expect(receipt.postponed > 0 && receipt.deliveryCountsBurned == 0)
                #expect(receipt.inHand == receipt.finished + receipt.postponed)
            }
            let last = try await rig.start(handle: insertEffect)
            try await eventually { try await rig.effects().count == 360 }
            // Each once, although most were in hand several times.
            #expect(Set(try await rig.effects()).count == 360)
            try await last.stop()
        }
    }

    @Test func withoutABrokerThatTakesThemTheyAreGivenBackAndCounted() async throws {
        try await Rig.with { rig in
            try await withBrokerProxy(to: rig.broker.port) { proxy in
                var publishing = rig.broker
                publishing.host = "127.0.0.1"
                publishing.port = proxy.port
                let gate = Gate()
                let running = try await rig.start(publisherBroker: publishing) { consumer, publisher, relay in
                    Worker(
                        Rig.configuration(concurrency: 1, drainDeadline: .seconds(2)),
                        handler: Rig.Handler { _, _ in
                            await gate.pass()
                            try Task.checkCancellation()
                            return .done
                        }, consumer: consumer, publisher: publisher, pool: rig.pool, relay: relay, logger: .silent)
                }
                try await rig.publish("a", "b", "c")
                try await eventually { gate.waiting == 1 && running.worker.counts.inFlight >= 1 }
                proxy.accepts = false
                proxy.cut()
                try await running.stop()
                let receipt = try #require(running.worker.drainReceipt)
                #expect(receipt.inHand == 3 && receipt.postponed == 0 && receipt.deliveryCountsBurned == 3)
                try await eventually { try await rig.ready(Rig.queue) == 3 }
            }
        }
    }

    @Test func aCancelledWorkerGivesEverythingBackAtOnce() async throws {
        try await Rig.with { rig in
            let gate = Gate()
            let running = try await rig.start(Rig.configuration(concurrency: 1)) { _, _ in
                await gate.pass()
                try Task.checkCancellation()
                return .done
            }
            try await rig.publish("a", "b", "c")
            try await eventually { gate.waiting == 1 }
            running.ended.cancel()
            _ = await running.ended.result
            try await eventually { try await rig.ready(Rig.queue) == 3 }
            #expect(try await rig.effects() == [])
        }
    }

    /// A note that stays makes a message look like a killer that was only in hand when somebody stopped the worker.
    @Test func aSuspectInHandLeavesNoNoteBehind() async throws {
        try await Rig.with { rig in
            try await rig.publish("a")
            try await rig.crashWithEverything()
            let gate = Gate()
            let running = try await rig.start(Rig.configuration(concurrency: 1, drainDeadline: .seconds(2))) { _, _ in
                await gate.pass()
                try Task.checkCancellation()
                return .done
            }
            try await eventually { gate.waiting == 1 }
            #expect(try await rig.pool.query("select 1 as one from suspects").count == 1)
            try await running.stop()
            #expect(running.worker.drainReceipt?.postponed == 1)
            try await eventually { try await rig.pool.query("select 1 as one from suspects").isEmpty }
        }
    }

    /// Both have work that ends only when the gate opens, so a second one that waits for its turn to stop would still take
    /// messages, and never hear that it should not.
    @Test func workersOfOneProcessStopTakingAtOnceAndDrainSideBySide() async throws {
        try await Rig.with { rig in
            let gate = Gate()
            let publisher = Publisher(configuration: rig.broker, logger: .silent)
            let consumers = (0..<2).map { _ in
                Consumer(
                    configuration: rig.broker, subscriptions: [Subscription(queue: Rig.queue, prefetch: 2)],
                    drainTimeout: .seconds(1), logger: .silent)
            }
            let workers = consumers.map { consumer in
                Worker(
                    Rig.configuration(concurrency: 1),
                    handler: Rig.Handler { envelope, context in
                        await gate.pass()
                        return try await insertEffect(envelope, context)
                    }, consumer: consumer, publisher: publisher, pool: rig.pool, logger: .silent)
            }
            let group = ServiceGroup(
                configuration: ServiceGroupConfiguration(
                    services: [publisher, ConcurrentServices(consumers), ConcurrentServices(workers)],
                    logger: .silent))
            let ended = Task { try await group.run() }
            for consumer in consumers { try await consumer.waitUntilConnected(within: .seconds(20)) }
            try await rig.publish((0..<4).map { Rig.message("m\($0)") })
            try await eventually { gate.waiting == 2 }
            try await eventually { try await rig.ready(Rig.queue) == 0 }
            await group.triggerGracefulShutdown()
            try await eventually { workers.allSatisfy(\.isDraining) }
            // Return once the subscriptions are gone, so what is published now stays.
            for consumer in consumers { await consumer.stopTaking() }
            try await rig.publish("late")
            gate.open()
            try await ended.value
            let receipts = workers.compactMap(\.drainReceipt)
            #expect(receipts.map(\.finished).reduce(0, +) == 4 && receipts.allSatisfy { $0.deliveryCountsBurned == 0 })
            #expect(try await rig.receive(Rig.queue).properties.messageID == "late")
        }
    }

    @Test func aServiceThatFailsTakesTheOthersWithIt() async throws {
        struct Broken: Error {}
        struct Waiting: Service {
            func run() async throws {
                // Ends by cancellation alone.
                let (stream, continuation) = AsyncStream<Void>.makeStream()
                for await _ in stream {}
                withExtendedLifetime(continuation) {}
            }
        }
        struct Failing: Service {
            func run() async throws { throw Broken() }
        }
        await #expect(throws: Broken.self) {
            try await ConcurrentServices([Waiting(), Failing(), Waiting()]).run()
        }
    }
}
