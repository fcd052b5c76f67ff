import AMQP
import Foundation
import Logging
import Persistence
import Postgres
import ServiceLifecycle
import Settings
import Telemetry
import Traces
import UnixSignals

/// What every long-running process has: logger, metrics, database, broker, admin endpoint, and a polite end.
struct ProcessKit {
    let settings: Settings
    let logger: Logger
    let metrics: MetricsRegistry
    let pool: PostgresPool
    /// Names this process among all: role, host and process id.
    let id: String
    private let role: String
    /// Sends spans away; nil if nobody is to have them.
    private let exporter: OTLPExporter?

    /// Reads the settings and checks that PostgreSQL answers with a schema that fits.
    init(role: String) async throws {
        settings = try Settings.load()
        self.role = role
        try SampleCredentials.refuse(in: settings)
        metrics = Telemetry.bootstrap(logLevel: try settings.logLevel())
        logger = Logger(label: "neff.\(role)")
        id = "\(role)@\(ProcessInfo.processInfo.hostName):\(getpid())"
        exporter = try Self.exporter(settings, role: role, id: id, logger: logger)
        var database = try PostgresConfiguration(
            url: settings.value(Keys.databaseURL), applicationName: "neff-\(role)")
        // Connections live for weeks and their tables grow.
        database.prefersIndexes = true
        pool = PostgresPool(
            configuration: database, size: try settings.value(Keys.databasePoolSize), logger: logger)
    }

    private static func exporter(
        _ settings: Settings, role: String, id: String, logger: Logger
    ) throws -> OTLPExporter? {
        guard let endpoint = try settings.optional(Keys.otlpEndpoint) else { return nil }
        let exporter = OTLPExporter(
            .init(
                endpoint: endpoint,
                resource: [
                    "service.name": "neff-\(role)", "service.version": Version.text, "service.instance.id": id,
                ],
                version: Version.text), logger: logger)
        Tracer.process.bootstrap(exporter, share: Double(try settings.value(Keys.traceShare)) / 100)
        return exporter
    }

    func publisher(window: Int? = nil) throws -> Publisher {
        Publisher(
            configuration: try Broker.configuration(settings, purpose: "\(role)-publish"),
            window: try window ?? settings.value(Keys.publishWindow),
            confirmTimeout: try settings.value(Keys.confirmTimeout),
            logger: logger)
    }

    /// - Parameter prefetch: nil takes the setting.
    func consumer(of queues: [String], prefetch: Int?) throws -> Consumer {
        let prefetch = try prefetch ?? settings.value(Keys.prefetch)
        return Consumer(
            configuration: try Broker.configuration(settings, purpose: "\(role)-consume"),
            subscriptions: queues.map {
                Subscription(queue: $0, prefetch: UInt16(prefetch), isUrgent: $0.hasSuffix(".urgent"))
            },
            // The worker has settled or given back everything by its own deadline; this is for what it could not.
            drainTimeout: .seconds(2), logger: logger)
    }

    /// Checks that the schema fits.
    func requireDatabase() async throws {
        try await Migrator(migrations: Schema.migrations()).verify(on: pool)
    }

    /// Checks that the broker lets us in, and that the queues are there.
    func requireBroker(queues: [String] = []) async throws {
        let connection = try await Connection.open(
            Broker.configuration(settings, purpose: "\(role)-check"), logger: logger)
        do {
            for queue in queues { _ = try await connection.checkQueue(queue) }
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }

    /// Answers for `/readyz`.
    func readiness(of connections: [(name: String, state: @Sendable () -> ConnectionState)])
        -> @Sendable () async -> [Readiness]
    {
        let pool = pool
        return {
            var answers: [Readiness] = []
            do {
                _ = try await pool.query("select 1 as one")
                answers.append(Readiness(name: "postgres", isReady: true, detail: "answers"))
            } catch {
                answers.append(Readiness(name: "postgres", isReady: false, detail: "\(error)"))
            }
            for connection in connections {
                let state = connection.state()
                answers.append(Readiness(name: connection.name, isReady: state.isConnected, detail: "\(state)"))
            }
            return answers
        }
    }

    func adminServer(readiness: @escaping @Sendable () async -> [Readiness]) throws -> AdminServer {
        let address = try settings.value(Keys.adminAddress)
        guard let adminAddress = AdminAddress(address.description) else {
            throw SettingsError(
                name: Keys.adminAddress.name, problem: "must be an IPv4 address and a port",
                hint: "Such as 127.0.0.1:9464.")
        }
        return AdminServer(
            address: adminAddress, logger: logger, readiness: readiness,
            metrics: { [metrics] in metrics.exposition() + ProcessMetrics.exposition() })
    }

    /// Runs services until SIGTERM or SIGINT, then stops them in the reverse order.
    func run(_ services: [any Service]) async throws {
        var configuration = ServiceGroupConfiguration(
            services: ([exporter].compactMap(\.self) + services).map { service in
                .init(service: service, successTerminationBehavior: .gracefullyShutdownGroup)
            }, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        // Every service ends by its own deadline; this is the last resort should one not.
        configuration.maximumGracefulShutdownDuration = try settings.value(Keys.drainTimeout) + .seconds(10)
        logger.info("started", metadata: ["worker.id": "\(id)", "version": "\(Version.text)"])
        try await ServiceGroup(configuration: configuration).run()
        await pool.shutDown()
        logger.info("stopped", metadata: ["worker.id": "\(id)"])
    }
}
