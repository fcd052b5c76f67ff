package import AMQP
import Foundation
package import Logging
import Messaging
import Metrics
package import Persistence
package import Postgres
import ServiceLifecycle
import Synchronization

/// Takes messages from its queues, has each handled once, and settles it.
///
/// Lanes run side by side, each with one transaction at a time; a lane takes several messages into it if they are there
/// already. A delivery is acknowledged after its transaction has committed, so whatever is cut off is delivered again,
/// and the inbox absorbs what had been committed.
///
/// In a service group the worker comes after the pool, the publisher, the relay and the consumer: it stops first, and
/// they stay until it has settled. To stop it cancels its subscriptions, finishes what it has in hand, cancels what is
/// left shortly before the drain's deadline, postpones that, and returns by the deadline.
package final class Worker: Service, Sendable {
    let configuration: WorkerConfiguration
    let consumer: Consumer
    let pool: PostgresPool
    private let runner: any JobRunner
    private let settler: Settler
    let suspects: SuspectLane
    let logger: Logger

    let inHand = InHand()
    let isStopping: Flag
    private let hasEndedTaking = Signal(isSticky: true)
    let tasks: TaskTable
    private let busyLanes = Atomic<Int>(0)
    let inFlight = Gauge(label: "worker.in_flight")
    let receipt = Mutex<DrainReceipt?>(nil)
    let dependencies: [Dependency]
    let mustReport = Signal()
    /// Asked for once: looking it up may wait, and reports come from the database's thread.
    let host = ProcessInfo.processInfo.hostName

    /// A worker whose effects are in the database.
    ///
    /// - Parameters:
    ///   - consumer: with one subscription for each work queue of the role.
    ///   - publisher: for retries and dead letters; on a connection of its own.
    ///   - relay: woken after each commit that wrote to the outbox.
    package convenience init(
        _ configuration: WorkerConfiguration, handler: any MessageHandler, consumer: Consumer, publisher: Publisher,
        pool: PostgresPool, relay: OutboxRelay? = nil, logger: Logger
    ) {
        self.init(configuration, consumer, publisher, pool, relay, [], logger) { settings in
            MessageRunner(handler: handler, settings: settings)
        }
    }

    /// A worker whose effects are elsewhere.
    ///
    /// - Parameter dependencies: the outside services whose breakers it reports.
    package convenience init(
        _ configuration: WorkerConfiguration, effects handler: any EffectHandler, consumer: Consumer,
        publisher: Publisher, pool: PostgresPool, relay: OutboxRelay? = nil, dependencies: [Dependency] = [],
        logger: Logger
    ) {
        self.init(configuration, consumer, publisher, pool, relay, dependencies, logger) { settings in
            if let handler = handler as? any MixedHandler { return Self.mixed(handler, settings) }
            return EffectRunner(handler: handler, settings: settings)
        }
    }

    private static func mixed(_ handler: some MixedHandler, _ settings: RunnerSettings) -> any JobRunner {
        MixedRunner(handler: handler, settings: settings)
    }

    private init(
        _ configuration: WorkerConfiguration, _ consumer: Consumer, _ publisher: Publisher, _ pool: PostgresPool,
        _ relay: OutboxRelay?, _ dependencies: [Dependency], _ logger: Logger,
        makeRunner: (RunnerSettings) -> any JobRunner
    ) {
        var logger = logger
        logger[metadataKey: LogKey.worker] = "\(configuration.id)"
        let isStopping = Flag()
        self.configuration = configuration
        self.consumer = consumer
        self.pool = pool
        self.logger = logger
        self.isStopping = isStopping
        self.dependencies = dependencies
        tasks = TaskTable(executor: pool.taskExecutor)
        runner = makeRunner(
            RunnerSettings(
                configuration: configuration, pool: pool, relayOutbox: { relay?.wake() },
                isShuttingDown: { isStopping.isSet }, logger: logger))
        settler = Settler(consumer: consumer, publisher: publisher, worker: configuration, logger: logger)
        suspects = SuspectLane(role: configuration.role, policy: configuration.retryPolicy, pool: pool, logger: logger)
        for dependency in dependencies { dependency.onChange { [mustReport] in mustReport.notify() } }
    }

    /// What it has done since it started, and what is in its hand.
    package var counts: Workers.Counts {
        let totals = inHand.totals
        return Workers.Counts(
            handled: totals.handled, retried: totals.retried, deadLettered: totals.deadLettered,
            inFlight: totals.inHand, oldestRetryAt: settler.retryAges.oldest(at: Date()))
    }

    /// Whether it has been told to stop and takes no more work.
    package var isDraining: Bool { isStopping.isSet }

    /// How the drain went; nil until `run` has ended.
    package var drainReceipt: DrainReceipt? { receipt.withLock { $0 } }

    /// Works until graceful shutdown, then drains. If its task is cancelled it gives back what it has in hand at once.
    ///
    /// - Throws: `WorkerError.deliveriesEnded` if the consumer ended before it was told to.
    package func run() async throws {
        // Tasks of their own instead of a group: a group waits for its children, and `run` must return by its deadline
        // even if a handler does not let itself be cancelled.
        tasks.start { await self.take() }
        tasks.start { await self.trySuspects() }
        tasks.start { await self.reportAlive() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await gracefulShutdown() }
            group.addTask { await self.hasEndedTaking.wait() }
            await group.next()
            group.cancelAll()
        }
        let isCancelled = Task.isCancelled
        let endedByItself = hasEndedTaking.isSet
        // Shielded: giving back is what a cancelled worker still has to do.
        await Task { await self.drain(waiting: !isCancelled) }.value
        if endedByItself, !isCancelled { throw WorkerError.deliveriesEnded }
    }

    // MARK: Taking

    /// Fills free lanes until the consumer has nothing more.
    private func take() async {
        let (tokens, free) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingOldest(configuration.concurrency))
        for _ in 0..<configuration.concurrency { free.yield() }
        var ready: [Job] = []
        for await _ in tokens {
            if ready.isEmpty {
                let deliveries = await consumer.nextBatch(upTo: configuration.concurrency * runner.maxBatchSize)
                if deliveries.isEmpty { break }
                ready = admit(deliveries)
            } else {
                // What has become urgent since then overtakes what no lane has begun.
                let urgent = consumer.urgentBatch(upTo: configuration.concurrency)
                if !urgent.isEmpty { ready = admit(urgent) + ready }
            }
            guard !ready.isEmpty else {
                free.yield()
                continue
            }
            let jobs = runner.take(
                from: &ready, freeLanes: max(1, configuration.concurrency - busyLanes.load(ordering: .relaxed)))
            busyLanes.add(1, ordering: .relaxed)
            tasks.start { [self] in
                let results = await runner.run(jobs)
                await settle(jobs, results)
                busyLanes.subtract(1, ordering: .relaxed)
                free.yield()
            }
        }
        // Only a cancelled take leaves anything over.
        await settleUnstarted(ready)
        hasEndedTaking.notify()
        inHand.endTaking()
    }

    /// Reads deliveries; sends the unreadable and the suspect where they belong, and returns the others.
    private func admit(_ deliveries: [Delivery]) -> [Job] {
        inHand.take(deliveries.count)
        inFlight.record(inHand.totals.inHand)
        let now = ContinuousClock.now
        var jobs: [Job] = []
        var suspected: [Job] = []
        for delivery in deliveries {
            do {
                let envelope = try Envelope(delivery, now: Date())
                let job = Job(delivery: delivery, envelope: envelope, takenAt: now)
                if job.history.hasCrashEvidence { suspected.append(job) } else { jobs.append(job) }
            } catch {
                let failure = Failure(code: "envelope", detail: "\(error)")
                tasks.start { await self.settleUndecodable(delivery, failure, takenAt: now) }
            }
        }
        if !suspected.isEmpty { suspects.add(suspected) }
        return jobs
    }

    private func trySuspects() async {
        while let job = await suspects.next() {
            await suspects.tryAlone(job) { result in
                var end = result
                if end == nil { end = await runner.run([job]).first }
                await settle(job, end ?? .interrupted)
            }
        }
        await settleUnstarted(suspects.takeAll())
    }

    // MARK: Settling

    /// Settles what was taken and not begun, all at once: each is a publish with a confirm, and the deadline is near.
    func settleUnstarted(_ jobs: [Job]) async {
        await settle(jobs, Array(repeating: .interrupted, count: jobs.count))
    }

    /// Acknowledges what is done before anything is moved: a move waits for the broker, and may do so for long.
    private func settle(_ jobs: [Job], _ results: [JobResult]) async {
        var moves: [(Job, JobResult)] = []
        for (job, result) in zip(jobs, results) {
            if settlement(of: job, result) == .acknowledge {
                await settle(job, result)
            } else {
                moves.append((job, result))
            }
        }
        guard !moves.isEmpty else { return }
        await withTaskGroup(of: Void.self) { group in
            for (job, result) in moves { group.addTask { await self.settle(job, result) } }
        }
    }

    private func settlement(of job: Job, _ result: JobResult) -> Settlement {
        WorkerRuntime.settle(
            result, attemptsSpent: job.envelope.attemptCount,
            policy: configuration.retryPolicy(for: job.delivery.queue))
    }

    private func settle(_ job: Job, _ result: JobResult) async {
        let settlement = settlement(of: job, result)
        let end = await settler.apply(settlement, to: job)
        record(job, result, end)
        job.ended(end)
    }

    func settleUndecodable(
        _ delivery: Delivery, _ failure: Failure, takenAt: ContinuousClock.Instant
    ) async {
        let isDone = await settler.deadLetterUndecodable(delivery, failure) != .release
        logger.warning(
            "a delivery cannot be read",
            metadata: [
                LogKey.queue: "\(delivery.queue)", LogKey.errorDetail: "\(failure.detail)",
                LogKey.messageID: "\(delivery.properties.messageID ?? "")",
                LogKey.correlationID: "\(delivery.properties.correlationID ?? "")",
            ])
        count(delivery.queue, isDone ? "undecodable" : "returned", since: takenAt)
        inHand.settle(isDone ? .deadLettered : .returned)
    }

    private func record(_ job: Job, _ result: JobResult, _ settlement: Settlement) {
        let queue = job.delivery.queue
        var metadata: Logger.Metadata = [
            LogKey.messageID: "\(job.envelope.id)", LogKey.messageType: "\(job.envelope.type)",
            LogKey.correlationID: "\(job.envelope.correlationID)", LogKey.queue: "\(queue)",
            LogKey.attempt: "\(job.envelope.attemptCount + 1)",
        ]
        let outcome: String
        let end: InHand.End
        switch settlement {
        case .acknowledge:
            end = .handled
            switch result {
            case .duplicate: outcome = "duplicate"
            case .recalled: outcome = "recalled"
            case .finished(.ignored(let reason)):
                outcome = "ignored"
                logger.info("message ignored", metadata: metadata.merging(["reason": "\(reason)"]) { _, new in new })
            default: outcome = "done"
            }
            let journey = Date().timeIntervalSince(job.envelope.receivedAt)
            Metrics.Timer(label: "worker.critical_time", dimensions: [("queue", queue)])
                .recordNanoseconds(Int64(max(0, journey) * 1e9))
        case .retry(let tier, let failure):
            (outcome, end) = ("retried", .retried)
            metadata[LogKey.settlement] = "retry \(tier.name)"
            metadata[LogKey.errorCode] = "\(failure.code)"
            metadata[LogKey.errorDetail] = "\(failure.detail)"
            logger.notice("job failed and is retried", metadata: metadata)
        case .deadLetter(let reason, let failure):
            (outcome, end) = ("dead_lettered", .deadLettered)
            metadata[LogKey.settlement] = "dead letter \(reason.rawValue)"
            metadata[LogKey.errorCode] = "\(failure.code)"
            metadata[LogKey.errorDetail] = "\(failure.detail)"
            logger.warning("message given up", metadata: metadata)
        case .postpone: (outcome, end) = ("postponed", .postponed)
        case .release: (outcome, end) = ("returned", .returned)
        }
        count(queue, outcome, since: job.takenAt)
        inHand.settle(end)
    }

    private func count(_ queue: String, _ outcome: String, since start: ContinuousClock.Instant) {
        Counter(label: "worker.jobs", dimensions: [("queue", queue), ("outcome", outcome)]).increment()
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        Metrics.Timer(label: "worker.job.duration", dimensions: [("queue", queue)])
            .recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}

/// Why a worker ended by itself.
package enum WorkerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The consumer was closed under the worker.
    case deliveriesEnded

    package var description: String {
        switch self {
        case .deliveriesEnded: "the consumer ended while the worker still ran; the log tells why"
        }
    }
}
