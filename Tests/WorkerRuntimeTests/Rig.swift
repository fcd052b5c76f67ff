import AMQP
import Domain
import Foundation
import Logging
import Messaging
import Persistence
import Postgres
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing
import WorkerRuntime

/// A virtual host and a database of one test, with one work queue and tiers of milliseconds.
struct Rig: Sendable {
    static let queue = "work"
    static let policy = RetryPolicy(
        tiers: [
            RetryTier(name: "50ms", delay: .milliseconds(50)),
            RetryTier(name: "150ms", delay: .milliseconds(150), siblings: ["a", "b"]),
        ], maxAttempts: 4)

    let broker: AMQPConfiguration
    let pool: PostgresPool

    /// Runs a test with both; they are gone afterwards.
    static func with(poolSize: Int = 12, _ body: (Rig) async throws -> Void) async throws {
        try await withVirtualHost { broker in
            try await withScratchDatabase(migrations: Schema.migrations(), poolSize: poolSize) { pool in
                let rig = Rig(broker: broker, pool: pool)
                try await rig.declare()
                _ = try await pool.query("create table effects (message_id text not null, note text)")
                try await body(rig)
            }
        }
    }

    private func declare() async throws {
        let connection = try await Connection.open(broker, logger: .silent)
        try await connection.declareExchange("unrouted", kind: .fanout)
        for name in ["inbound", "commands", "events"] {
            try await connection.declareExchange(
                name, kind: .topic, arguments: ["alternate-exchange": "unrouted"])
        }
        for name in ["retry", "dead"] { try await connection.declareExchange(name, kind: .direct) }
        let letters: FieldTable = [
            "x-queue-type": "quorum", "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish",
        ]
        try await connection.declareQueue(
            Self.queue,
            arguments: letters.merging([
                "x-delivery-limit": 5, "x-dead-letter-exchange": "dead", "x-dead-letter-routing-key": "work",
            ]) { $1 })
        try await connection.bind(queue: Self.queue, to: "commands", routingKey: "job.*")
        for tier in Self.policy.tiers {
            for spread in 0..<UInt(max(1, tier.siblings.count)) {
                let name = tier.queue(of: Self.queue, spread: spread)
                try await connection.declareQueue(
                    name,
                    arguments: letters.merging([
                        "x-message-ttl": .int64(Int64(tier.delay / .milliseconds(1))), "x-dead-letter-exchange": "",
                        "x-dead-letter-routing-key": "work",
                    ]) { $1 })
                try await connection.bind(queue: name, to: "retry", routingKey: name)
            }
        }
        for (queue, exchange, key) in [("work.dead", "dead", "work"), ("unrouted", "unrouted", "")] {
            try await connection.declareQueue(queue, arguments: ["x-queue-type": "quorum"])
            try await connection.bind(queue: queue, to: exchange, routingKey: key)
        }
        await connection.close()
    }

    // MARK: Messages

    static func message(_ id: String, _ body: String = "{}") -> Envelope {
        Envelope(
            id: id, type: .createJob, timestamp: Date(timeIntervalSince1970: 1_800_000_000), body: Array(body.utf8))
    }

    /// Publishes to the exchange `commands`, confirmed.
    func publish(_ envelopes: [Envelope]) async throws {
        try await withConnection { connection in
            for envelope in envelopes {
                try await connection.publish(OutgoingMessage(exchange: .commands, envelope: envelope).publication)
            }
        }
    }

    func publish(_ ids: String...) async throws {
        try await publish(ids.map { Self.message($0) })
    }

    func withConnection<Result: Sendable>(_ body: (Connection) async throws -> Result) async throws -> Result {
        let connection = try await Connection.open(broker, logger: .silent)
        do {
            let result = try await body(connection)
            await connection.close()
            return result
        } catch {
            await connection.close()
            throw error
        }
    }

    /// Takes one message off a queue, waiting for it.
    func receive(_ queue: String) async throws -> Delivery {
        try await withConnection { connection in
            while true {
                if let delivery = try await connection.get(queue) {
                    try await connection.acknowledge(delivery)
                    return delivery
                }
                // `basic.get` has no way to wait.
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    func ready(_ queue: String) async throws -> Int {
        try await withConnection { try await $0.checkQueue(queue).messageCount }
    }

    /// Delivers what is in the work queue to a consumer that dies with it, `times` times.
    func crashWithEverything(times: Int = 1) async throws {
        for _ in 0..<times {
            try await withConnection { connection in
                while try await connection.get(Self.queue) != nil {}
            }
        }
    }

    func effects() async throws -> [String] {
        try await pool.query("select message_id from effects order by 1").map { try $0.decode("message_id") }
    }

    // MARK: Workers

    struct Running: Sendable {
        let worker: Worker
        let relay: OutboxRelay
        let consumer: Consumer
        let group: ServiceGroup
        let ended: Task<Void, any Error>

        /// Stops everything in order, and waits for it.
        func stop() async throws {
            await group.triggerGracefulShutdown()
            try await ended.value
        }
    }

    static func configuration(
        concurrency: Int = 4, batchSize: Int = 1, handlerTimeout: Duration = .seconds(20),
        drainDeadline: Duration = .seconds(20)
    ) -> WorkerConfiguration {
        WorkerConfiguration(
            role: "work", id: "work-1", concurrency: concurrency, batchSize: batchSize, handlerTimeout: handlerTimeout,
            drainDeadline: drainDeadline, heartbeatInterval: .milliseconds(200), retryPolicy: policy)
    }

    /// Starts a worker with all it needs, in the order of a real process.
    func start(
        _ configuration: WorkerConfiguration = configuration(), consumerBroker: AMQPConfiguration? = nil,
        workerPool: PostgresPool? = nil, relayInterval: Duration = .milliseconds(50), pauses: PauseWatch? = nil,
        routes: LedgerRoutes? = nil,
        handle: @escaping @Sendable (Envelope, HandlerContext) async throws -> Outcome
    ) async throws -> Running {
        try await start(consumerBroker: consumerBroker, relayInterval: relayInterval, pauses: pauses, routes: routes) {
            consumer, publisher, relay in
            Worker(
                configuration, handler: Handler(body: handle), consumer: consumer, publisher: publisher,
                pool: workerPool ?? pool, relay: relay, logger: .silent)
        }
    }

    /// - Parameter pauses: followed if given; must have been loaded, as in a real process.
    func start(
        consumerBroker: AMQPConfiguration? = nil, relayInterval: Duration = .milliseconds(50),
        pauses: PauseWatch? = nil, prefetch: UInt16 = 64, publisherBroker: AMQPConfiguration? = nil,
        routes: LedgerRoutes? = nil, urgentQueue: String? = nil,
        make: (Consumer, Publisher, OutboxRelay) -> Worker
    ) async throws -> Running {
        let publisher = Publisher(configuration: publisherBroker ?? broker, logger: .silent)
        let consumer = Consumer(
            configuration: consumerBroker ?? broker,
            subscriptions: [Subscription(queue: Self.queue, prefetch: prefetch)]
                + (urgentQueue.map { [Subscription(queue: $0, prefetch: prefetch, isUrgent: true)] } ?? []),
            drainTimeout: .seconds(1), logger: .silent)
        let relay = OutboxRelay(
            pool: pool, publisher: publisher, interval: relayInterval, routes: routes, logger: .silent)
        let worker = make(consumer, publisher, relay)
        var services: [any Service] = [publisher, relay, consumer, worker]
        if let pauses {
            let control = QueueControl(queues: [Self.queue], pauses: pauses, consumer: consumer)
            await control.apply()
            services = [pauses, publisher, relay, consumer, control, worker]
        }
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: services, logger: .silent))
        let ended = Task { try await group.run() }
        try await publisher.waitUntilConnected(within: .seconds(20))
        try await consumer.waitUntilConnected(within: .seconds(20))
        return Running(worker: worker, relay: relay, consumer: consumer, group: group, ended: ended)
    }

    struct Handler: MessageHandler {
        let body: @Sendable (Envelope, HandlerContext) async throws -> Outcome

        func handle(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome {
            try await body(envelope, context)
        }
    }
}

/// Writes the effect that tests count.
@Sendable func insertEffect(_ envelope: Envelope, _ context: HandlerContext) async throws -> Outcome {
    _ = try await context.transaction.query("insert into effects (message_id) values (\(envelope.id))")
    return .done
}

/// Waits for something that gives no signal, looking again and again; the test's time limit ends it.
func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(10)) }
}

/// What handlers saw, in order.
final class Record<Entry: Sendable>: Sendable {
    private let entries = Mutex<[Entry]>([])
    var all: [Entry] { entries.withLock { $0 } }

    @discardableResult
    func add(_ entry: Entry) -> Int {
        entries.withLock { entries in
            entries.append(entry)
            return entries.count
        }
    }
}

/// A door that handlers wait at.
final class Gate: Sendable {
    private let state = Mutex((isOpen: false, arrivals: 0, waiters: [AsyncStream<Void>.Continuation]()))

    /// How many have come so far.
    var waiting: Int { state.withLock { $0.arrivals } }

    /// Waits until the door opens; cancellation ends the wait of the cancelled task, and of no other.
    func pass() async {
        // One for each: a stream that several wait for ends for all of them with the first that is cancelled.
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        let isOpen = state.withLock { state in
            state.arrivals += 1
            state.waiters.append(continuation)
            return state.isOpen
        }
        guard !isOpen else { return }
        for await _ in stream {}
    }

    func open() {
        let waiters = state.withLock { state in
            state.isOpen = true
            return state.waiters
        }
        for waiter in waiters { waiter.finish() }
    }
}
