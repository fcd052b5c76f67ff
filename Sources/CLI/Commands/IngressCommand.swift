import AMQP
import ArgumentParser
import Foundation
import Ingress
import Logging
import Messaging
import Persistence
import Postgres
import ServiceLifecycle
import Settings
import Telemetry
import WorkerRuntime

struct IngressCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ingress", abstract: "Serve Calendly's webhooks and the staff API.",
        discussion: """
            Keeps no state: start as many as you like behind a load balancer. While the broker is away, what comes in is \
            stored in PostgreSQL and published later. SIGTERM finishes what is in hand and ends.
            """)

    func run() async throws {
        let kit = try await ProcessKit(role: "ingress")
        let publisher = try kit.publisher()
        try await requireDependencies(kit)
        let routes = try LedgerRoutes.shipped()
        let relay = SpoolRelay(pool: kit.pool, publisher: publisher, routes: routes, logger: kit.logger)
        let journal = AcceptanceJournal(
            folder: try kit.settings.value(Keys.stateDirectory), routes: routes, pool: kit.pool, logger: kit.logger)
        let readiness = kit.readiness(of: [("amqp.publisher", { publisher.state })])
        let server = try IngressServer(
            configuration: configuration(kit.settings),
            dependencies: dependencies(
                kit, publisher: publisher, relay: relay, journal: journal, readiness: readiness),
            logger: kit.logger)
        try await kit.run([
            kit.adminServer(readiness: readiness), kit.pool, journal, publisher, relay, server,
        ])
    }

    /// One of broker and database is enough to begin, because either can hold what comes in; wrong credentials and a
    /// schema that does not fit are mistakes that no waiting mends.
    private func requireDependencies(_ kit: ProcessKit) async throws {
        var databaseFailure: Failure?
        do {
            try await kit.requireDatabase()
        } catch {
            databaseFailure = Failure(error)
        }
        if let failure = databaseFailure, failure.code != .unavailable { throw failure }
        do {
            try await kit.requireBroker()
        } catch {
            let failure = Failure(error)
            guard failure.code == .unavailable, databaseFailure == nil else { throw failure }
            kit.logger.warning(
                "the broker is away: what comes in is spooled", metadata: ["error": "\(failure.message)"])
        }
        if let databaseFailure {
            kit.logger.warning(
                "the database is away: webhooks are accepted, the API is not",
                metadata: ["error": "\(databaseFailure.message)"])
        }
    }

    private func configuration(_ settings: Settings) throws -> IngressConfiguration {
        let address = try settings.value(Keys.httpAddress)
        var tls: IngressConfiguration.TLS?
        switch (try settings.optional(Keys.httpCertificate), try settings.optional(Keys.httpKey)) {
        case (let certificate?, let key?): tls = .init(certificateChainPath: certificate, privateKeyPath: key)
        case (nil, nil): break
        case (nil, _):
            throw SettingsError(
                name: Keys.httpCertificate.name, problem: "is not set", hint: "A key needs its certificate.")
        case (_, nil):
            throw SettingsError(name: Keys.httpKey.name, problem: "is not set", hint: "A certificate needs its key.")
        }
        var configuration = IngressConfiguration(
            address: .init(host: address.host, port: address.port), tls: tls,
            calendlySigningKeys: [try settings.value(Keys.signingKey)]
                + [try settings.optional(Keys.previousSigningKey)].compactMap { $0 },
            signatureTolerance: try settings.value(Keys.signatureTolerance),
            isProduction: try settings.value(Keys.mode) == .production)
        configuration.trustedProxies = try (settings.optional(Keys.trustedProxies) ?? []).map { text in
            guard let range = AddressRange(text) else {
                throw SettingsError(
                    name: Keys.trustedProxies.name, problem: "is not a list of addresses",
                    hint: "Use addresses or ranges, such as 10.0.0.7,10.1.0.0/16.")
            }
            return range
        }
        configuration.limits.maxConnections = try settings.value(Keys.httpMaxConnections)
        configuration.shutdownDeadline = try settings.value(Keys.drainTimeout)
        return configuration
    }

    private func dependencies(
        _ kit: ProcessKit, publisher: Publisher, relay: SpoolRelay, journal: AcceptanceJournal,
        readiness: @escaping @Sendable () async -> [Readiness]
    ) throws -> IngressDependencies {
        let pool = kit.pool
        let keys = ApiKeyRepository(pool: pool)
        return IngressDependencies(
            publish: { message throws(PublishError) in
                try await publisher.publish(message.publication, whenFull: .fail)
            },
            publishThen: { message, completion in
                publisher.publish(message.publication, whenFull: .fail) { result in
                    if case .failure(let error) = result { completion(error) } else { completion(nil) }
                }
            },
            note: { message in journal.note(message) },
            isBrokerReady: {
                if case .connected = publisher.state { true } else { false }
            },
            spool: { message in
                try await SpooledOperations.spool(message, in: pool)
                relay.wake()
            },
            operations: StoredOperations(pool: pool, onSpooled: { relay.wake() }), reads: StoredSchedule(pool: pool),
            replays: StoredReplayCampaigns(pool: pool, consumers: try ReplayConsumers.all()),
            letters: StoredLetters(pool: pool), configuration: StoredConfiguration(pool: pool),
            accounts: StoredAccounts(pool: pool),
            findApiKey: { digest in try await keys.find(digest: digest) },
            probes: Probes { await readiness().allSatisfy(\.isReady) })
    }
}
