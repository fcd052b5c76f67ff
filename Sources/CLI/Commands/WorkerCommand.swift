import AMQP
import ArgumentParser
import Domain
import Foundation
import Logging
import NotificationWorker
import Persistence
import Postgres
import SchedulingWorker
import ServiceLifecycle
import Settings
import SyncWorker
import Topology
import Transport
import WorkerRuntime

struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Consume: one kind of work, or all kinds in one process.",
        discussion: """
            Start as many as you like of each kind. A scheduling worker books in two transactions at a time, unless \
            --concurrency says otherwise; consultations that wait share one. SIGTERM drains: what is begun is finished, or given back, within \
            NEFF_DRAIN_TIMEOUT_MS.
            """)

    enum Role: String, CaseIterable, ExpressibleByArgument {
        case sync, scheduling, notification
        case deadLetters = "dead-letters"
        case all
    }

    @Argument(help: "sync, scheduling, notification, dead-letters, or all.") var role: Role
    @Option(help: "Messages handled at once, instead of NEFF_WORKER_CONCURRENCY.") var concurrency: Int?
    @Option(help: "Unsettled messages at once, instead of NEFF_WORKER_PREFETCH.") var prefetch: Int?

    func validate() throws {
        if let concurrency, !(1...256).contains(concurrency) { throw ValidationError("--concurrency must be 1 to 256") }
        if let prefetch, !(1...2_000).contains(prefetch) { throw ValidationError("--prefetch must be 1 to 2000") }
    }

    func run() async throws {
        let kit = try await ProcessKit(role: role == .all ? "worker" : role.rawValue)
        let roles = role == .all ? Role.allCases.filter { $0 != .all } : [role]
        try await kit.requireDatabase()
        try await kit.requireBroker(queues: roles.flatMap(Self.queues))
        let pauses = PauseWatch(pool: kit.pool, logger: kit.logger)
        try await pauses.load()
        var services: [any Service] = [kit.pool, pauses]
        var workers: [any Service] = []
        var consumers: [any Service] = []
        var controls: [any Service] = []
        var connections: [(name: String, state: @Sendable () -> ConnectionState)] = []
        let publisher = try kit.publisher()
        let relay = OutboxRelay(
            pool: kit.pool, publisher: publisher, routes: try LedgerRoutes.shipped(), logger: kit.logger)
        services.append(publisher)
        connections.append(("amqp.publisher", { publisher.state }))
        if roles != [.deadLetters] { services.append(relay) }
        for role in roles {
            let consumer = try kit.consumer(of: Self.queues(of: role), prefetch: prefetch)
            connections.append(("amqp.consumer.\(role.rawValue)", { consumer.state }))
            let mailServer = Dependency("smtp", logger: kit.logger)
            let control = QueueControl(
                queues: Self.queues(of: role), needs: ["notification.mail": mailServer], pauses: pauses,
                consumer: consumer)
            // Before it connects: of a paused queue not even the first message may be taken.
            await control.apply()
            consumers.append(consumer)
            controls.append(control)
            if role == .scheduling { controls.append(LoadFolding(pool: kit.pool, logger: kit.logger)) }
            if role == .deadLetters {
                controls.append(Heartbeat(role: role.rawValue, pool: kit.pool, logger: kit.logger))
                controls.append(
                    ReplayRunner(
                        pool: kit.pool, publisher: publisher, holder: kit.id, consumers: try ReplayConsumers.all(),
                        logger: kit.logger))
                controls.append(AlertWatch(try Self.thresholds(kit.settings), pool: kit.pool, logger: kit.logger))
            }
            workers.append(
                try await service(
                    for: role, kit: kit, consumer: consumer, publisher: publisher, relay: relay, mailServer: mailServer)
            )
        }
        // All workers of the process stop taking at once and drain side by side, within one deadline; what they need stays
        // until the last of them has ended.
        services += [ConcurrentServices(consumers)] + controls + [ConcurrentServices(workers)]
        let drained = workers.compactMap { $0 as? Worker }
        let admin = try kit.adminServer(readiness: kit.readiness(of: connections))
        // First in the list is last to stop: the admin endpoint answers until everything else has ended.
        do {
            try await kit.run([admin] + services)
        } catch {
            try Self.printReceipts(of: drained)
            throw error
        }
        try Self.printReceipts(of: drained)
    }

    /// One line of JSON for each worker, for whoever told it to stop.
    private static func printReceipts(of workers: [Worker]) throws {
        for worker in workers {
            if let receipt = worker.drainReceipt { try Output.json(["drain_receipt": receipt]) }
        }
    }

    private static func thresholds(_ settings: Settings) throws -> AlertThresholds {
        let days = try settings.value(Keys.letterRetention)
        return AlertThresholds(
            letters: try settings.value(Keys.alertLetters), retryAge: try settings.value(Keys.alertRetryAge),
            retention: days == 0 ? nil : .seconds(days * 86_400))
    }

    private static func queues(of role: Role) -> [String] {
        switch role {
        case .sync: ["sync"]
        case .scheduling: ["scheduling.urgent", "scheduling"]
        case .notification: ["notification.urgent", "notification", "notification.mail"]
        case .deadLetters:
            ((try? TopologyDocument.shipped())?.workQueues.keys.sorted().filter { $0 != "canary" }.map { "\($0).dead" }
                ?? [])
                + ["unrouted"]
        case .all: []
        }
    }

    private func service(
        for role: Role, kit: ProcessKit, consumer: Consumer, publisher: Publisher, relay: OutboxRelay,
        mailServer: Dependency
    ) async throws -> any Service {
        let configuration = try workerConfiguration(role, kit: kit)
        switch role {
        case .sync:
            let handler = SyncHandler(
                configuration: SyncConfiguration(
                    siteTimeZone: try kit.settings.siteTimeZone(),
                    rescheduleWait: try kit.settings.value(Keys.rescheduleWait)))
            return Worker(
                configuration, handler: handler, consumer: consumer, publisher: publisher, pool: kit.pool, relay: relay,
                logger: kit.logger)
        case .scheduling:
            let handler = SchedulingHandler(companyClock: try kit.settings.siteClock())
            return Worker(
                configuration, handler: handler, consumer: consumer, publisher: publisher, pool: kit.pool, relay: relay,
                logger: kit.logger)
        case .notification:
            let handler = try notificationHandler(kit, mailServer)
            try await handler.adoptAbandonedJournals(pool: kit.pool, now: Date())
            return Worker(
                configuration, effects: handler, consumer: consumer, publisher: publisher, pool: kit.pool, relay: relay,
                dependencies: [mailServer], logger: kit.logger)
        case .deadLetters, .all:
            return DeadLetterJournal(consumer: consumer, pool: kit.pool, logger: kit.logger)
        }
    }

    private func workerConfiguration(_ role: Role, kit: ProcessKit) throws -> WorkerConfiguration {
        let tiers = try kit.settings.value(Keys.retryTiers)
        let standard = RetryPolicy(maxAttempts: try kit.settings.value(Keys.maxAttempts))
        guard let policy = standard.restricted(to: tiers.joined(separator: ",")) else {
            throw SettingsError(
                name: Keys.retryTiers.name, problem: "names a tier that does not exist",
                hint: "See topology/topology.yaml.")
        }
        var configuration = WorkerConfiguration(
            role: role.rawValue, id: "\(role.rawValue)@\(ProcessInfo.processInfo.hostName):\(getpid())",
            version: Version.text,
            // Two bookings at once: one commits, one chooses. More would wait for the same estimators, and would each be
            // smaller than the one set that the messages make while they wait.
            concurrency: try concurrency
                ?? min(kit.settings.value(Keys.concurrency), role == .scheduling ? 2 : .max),
            batchSize: try kit.settings.value(Keys.batch),
            handlerTimeout: try kit.settings.value(Keys.handlerTimeout),
            drainDeadline: try kit.settings.value(Keys.drainTimeout), retryPolicy: policy)
        // Queues for emergencies have the short tiers only.
        let urgent = RetryPolicy(tiers: RetryPolicy.urgentTiers, maxAttempts: policy.maxAttempts)
        let shortTiers = tiers.filter { RetryPolicy.urgentTiers.map(\.name).contains($0) }
        for queue in Self.queues(of: role) where queue.hasSuffix(".urgent") {
            configuration.retryPolicies[queue] = urgent.restricted(to: shortTiers.joined(separator: ",")) ?? urgent
        }
        return configuration
    }

    private func notificationHandler(_ kit: ProcessKit, _ mailServer: Dependency) throws -> NotificationHandler {
        let settings = kit.settings
        let smtp = SMTPClient(
            configuration: try SMTPConfiguration(url: settings.value(Keys.smtpURL)),
            maxConnections: try min(concurrency ?? settings.value(Keys.concurrency), 8), logger: kit.logger)
        let composer = MailComposer(
            templates: try MailTemplates(officePhone: settings.value(Keys.officePhone)),
            from: try MailAddress.read(settings.value(Keys.mailFrom), key: Keys.mailFrom.name),
            replyTo: try settings.optional(Keys.mailReplyTo).map {
                try MailAddress.read($0, key: Keys.mailReplyTo.name)
            })
        return NotificationHandler(
            planner: NoticePlanner(officeEmail: try settings.officeAddress()), composer: composer,
            smtp: smtp,
            journal: try SendJournal(folder: settings.value(Keys.stateDirectory)),
            policy: try settings.value(Keys.ambiguousMail) == .hold ? .hold : .resend,
            // A claim must outlive the longest that its holder may work on it.
            claimLifetime: try settings.value(Keys.handlerTimeout) + .seconds(60), mailServer: mailServer)
    }
}
