import HummingbirdCore
import HummingbirdTLS
package import Logging
package import Metrics
import NIOCore
import NIOPosix
import NIOSSL
import ServiceLifecycle
import Synchronization

/// The front door: takes webhooks and staff requests, stores them, answers. It never does the work.
///
/// Any number of them run side by side; nothing but caches is kept between requests.
package final class IngressServer: Service {
    private let configuration: IngressConfiguration
    private let dependencies: IngressDependencies
    private let logger: Logger
    private let waiters = OperationWaiters()
    private let listening = Signal<Int>()
    let table: RouteTable
    private let responder: Responder
    private let webhook: CalendlyWebhook

    /// - Throws: `IngressError` (`invalidConfiguration`).
    package init(
        configuration: IngressConfiguration, dependencies: IngressDependencies,
        metrics factory: any MetricsFactory = MetricsSystem.factory, logger: Logger
    ) throws(IngressError) {
        try configuration.validate()
        self.configuration = configuration
        self.dependencies = dependencies
        self.logger = logger
        let metrics = IngressMetrics(factory: factory)
        let intake = Intake(
            publish: dependencies.publish, note: dependencies.note, spool: dependencies.spool, metrics: metrics,
            logger: logger)
        let commands = CommandGateway(
            operations: dependencies.operations, isBrokerReady: dependencies.isBrokerReady, intake: intake,
            waiters: waiters, maxWait: configuration.maxWait)
        webhook = CalendlyWebhook(
            keys: configuration.calendlySigningKeys, tolerance: configuration.signatureTolerance, intake: intake,
            metrics: metrics)
        let cookie = SessionCookie(isSecure: configuration.isSessionCookieSecure)
        let accounts = dependencies.accounts
        let passwords = PasswordCheck(
            accounts: accounts,
            workers: PasswordWorkers(
                atOnce: configuration.passwords.atOnce, maxWaiting: configuration.passwords.maxWaiting),
            parameters: configuration.passwords.parameters, metrics: metrics)
        table = .ingress(
            webhook: webhook,
            staff: StaffAPI(commands: commands, reads: dependencies.reads, operations: dependencies.operations),
            replays: ReplayAPI(campaigns: dependencies.replays), letters: LettersAPI(letters: dependencies.letters),
            sessions: SessionsAPI(accounts: accounts, passwords: passwords, cookie: cookie, metrics: metrics),
            users: UsersAPI(accounts: accounts, passwords: passwords), keys: KeysAPI(accounts: accounts),
            more: ConfigurationAPI(store: dependencies.configuration).routes
                + AvailabilityAPI(store: dependencies.configuration, now: dependencies.now).routes,
            probes: dependencies.probes, limits: configuration.limits)
        responder = Responder(
            table: table,
            authenticator: Authenticator(
                find: dependencies.findApiKey, accounts: accounts, cookie: cookie, now: dependencies.now),
            metrics: metrics, requests: RouteMetrics(table.routes, factory: factory), limits: configuration.limits,
            trustedProxies: configuration.trustedProxies,
            isStrictTransport: configuration.isProduction && configuration.tls != nil, now: dependencies.now,
            logger: logger)
    }

    /// The port that is listened on, once it is.
    ///
    /// - Throws: `CancellationError` if the server ended, or the task was cancelled, before that.
    package func port() async throws -> Int {
        try await listening.value()
    }

    /// Serves until graceful shutdown: then stops accepting, lets those go who wait for an outcome, finishes what is in
    /// hand within the deadline, and closes whatever is open after it.
    ///
    /// - Throws: `IngressError` if it cannot listen.
    package func run() async throws {
        defer { listening.fail() }
        let server = try makeServer(on: EventLoops.group(threads: configuration.eventLoopThreads))
        try await withThrowingTaskGroup(of: Ending.self) { tasks in
            tasks.addTask { [self] in
                try await serve(server)
                return .served
            }
            tasks.addTask { [self] in
                try await gracefulShutdown()
                waiters.close()
                try await Task.sleep(for: configuration.shutdownDeadline)
                logger.warning("requests are cut off, because the shutdown deadline has passed")
                return .deadline
            }
            tasks.addTask { [self] in
                await waiters.listen(to: dependencies.operations)
                return .deaf
            }
            // Nobody listening is no reason to stop: those who wait look for themselves.
            while try await tasks.next() == .deaf {}
            tasks.cancelAll()
            while let result = await tasks.nextResult() {
                if case .failure(let error) = result, !(error is CancellationError) { throw error }
            }
        }
    }

    private enum Ending {
        case served, deadline, deaf
    }

    private func serve(_ server: any Service) async throws {
        do {
            try await server.run()
        } catch let error as IOError {
            throw IngressError(
                .cannotListen, "cannot listen on \(configuration.address): \(error). Is the port taken, or below 1024?")
        } catch let error as SocketAddressError {
            throw IngressError(.cannotListen, "cannot listen on \(configuration.address): \(error)")
        }
    }

    private func makeServer(on group: any EventLoopGroup) throws -> any Service {
        let limits = configuration.limits
        let deadlines = ConnectionDeadline.Limits(configuration.timeouts)
        let responder = responder
        let lane = WebhookLane.Work(webhook: webhook, responder: responder, publish: dependencies.publishThen)
        let http = HTTP1Channel(
            responder: { request, writer, channel in
                try await responder.respond(to: request, writer: writer, channel: channel)
            },
            configuration: HTTP1Channel.Configuration(
                additionalChannelHandlers: [ConnectionDeadlineHandler(deadlines), WebhookLane(lane)],
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: limits.maxHeaderBytes, maxHeaderListSize: limits.maxHeaderBytes,
                    maxHeaderFieldCount: limits.maxHeaderCount)))
        let serverConfiguration = ServerConfiguration(
            address: .hostname(configuration.address.host, port: configuration.address.port),
            backlog: limits.backlog,
            availableConnectionsDelegate: .maximum(limits.maxConnections, logger: quiet))
        let listening = listening
        let onRunning: @Sendable (any Channel) async -> Void = { channel in
            listening.succeed(channel.localAddress?.port ?? 0)
        }
        guard let tls = configuration.tls else {
            return PinnedChannel(http, on: group).server(
                configuration: serverConfiguration, onServerRunning: onRunning, eventLoopGroup: group, logger: quiet)
        }
        let secure: TLSChannel<HTTP1Channel>
        do {
            secure = try TLSChannel(http, tlsConfiguration: Self.tlsConfiguration(tls))
        } catch {
            throw IngressError(
                .invalidCertificate,
                "the certificate \(tls.certificateChainPath) or its key \(tls.privateKeyPath) cannot be used: \(error)")
        }
        return PinnedChannel(secure, on: group).server(
            configuration: serverConfiguration, onServerRunning: onRunning, eventLoopGroup: group, logger: quiet)
    }

    private static func tlsConfiguration(_ tls: IngressConfiguration.TLS) throws -> TLSConfiguration {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(tls.certificateChainPath).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: tls.privateKeyPath, format: .pem)))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        return configuration
    }

    /// For the framework, which tells of every connection that a peer breaks.
    private var quiet: Logger {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        return quiet
    }
}
