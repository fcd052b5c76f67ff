import AMQP
import Foundation
import Logging
import Persistence
import Postgres
import Settings
import Topology
import Transport

/// The checks of `neff doctor`, in the order in which they are shown.
enum Checkup {
    static let all: [@Sendable (Settings) async -> [Diagnosis]] = [
        database, broker, library, topology, mail, credentials, files, workers,
    ]

    @Sendable private static func database(_ settings: Settings) async -> [Diagnosis] {
        let started = Date()
        do {
            return try await Database.with("doctor", checksSchema: false) { pool in
                let row = try await pool.query(
                    """
                    select current_setting('server_version_num')::integer as version, clock_timestamp() as now,
                        current_setting('max_connections')::integer as allowed, current_user as role,
                        (select rolsuper from pg_roles where rolname = current_user) as is_super
                    """)[0]
                let version: Int = try row["version"]
                let offset = try row.decode("now", as: Date.self).timeIntervalSince(started)
                var found = [
                    version >= 150_000
                        ? Diagnosis("PostgreSQL", .well, "version \(version / 10_000).\(version % 10_000) answers")
                        : Diagnosis(
                            "PostgreSQL", .broken, "version \(version / 10_000) is too old",
                            remedy: "Install PostgreSQL 15 or newer.")
                ]
                if abs(offset) > 5 {
                    found.append(
                        Diagnosis(
                            "Clock", .broken, "this host and PostgreSQL differ by \(Int(offset)) s",
                            remedy: "Let both keep time by NTP; signatures and leases depend on it."))
                } else {
                    found.append(Diagnosis("Clock", .well, "this host and PostgreSQL agree within 5 s"))
                }
                if try settings.value(Keys.mode) == .production, try row.decode("is_super", as: Bool.self) {
                    found.append(
                        Diagnosis(
                            "Database role", .warning, "\(try row.decode("role", as: String.self)) is a superuser",
                            remedy: "Give each service a log-in role that is a member of its neff_... role only."))
                }
                let states = try await Migrator(migrations: Schema.migrations()).status(on: pool)
                let wrong = states.filter { $0.state != .applied }
                if let first = wrong.first {
                    found.append(
                        Diagnosis(
                            "Schema", .broken, "migration \(first.name) is \(first.state)",
                            remedy: first.state == .pending
                                ? "Run `neff migrate up`." : "Install the neff that belongs to this database."))
                } else {
                    found.append(Diagnosis("Schema", .well, "\(states.count) migrations applied, none changed"))
                }
                return found
            }
        } catch {
            return [
                Diagnosis(
                    "PostgreSQL", .broken, Failure(error).message, remedy: "Correct DATABASE_URL or start the server.")
            ]
        }
    }

    @Sendable private static func broker(_ settings: Settings) async -> [Diagnosis] {
        do {
            let configuration = try Broker.configuration(settings, purpose: "doctor")
            let connection = try await Connection.open(
                configuration, logger: Logger(label: "doctor") { _ in SwiftLogNoOpLogHandler() })
            await connection.close()
            return [
                Diagnosis(
                    "RabbitMQ", .well,
                    "\(configuration.host):\(configuration.port) answers, virtual host \(configuration.virtualHost)")
            ]
        } catch {
            return [
                Diagnosis("RabbitMQ", .broken, Failure(error).message, remedy: "Correct AMQP_URL or start the broker.")
            ]
        }
    }

    @Sendable private static func topology(_ settings: Settings) async -> [Diagnosis] {
        guard settings.isSet(Keys.managementURL.name) else {
            return [
                Diagnosis(
                    "Topology", .warning, "not checked, because RABBITMQ_MANAGEMENT_URL is not set",
                    remedy: "Set it to let doctor compare the broker with the topology.")
            ]
        }
        do {
            let verification = try await Management.with { management in
                try await TopologyDeployment(TopologyDocument.shipped(), on: management).verify()
            }
            if verification.isClean { return [Diagnosis("Topology", .well, "is as this program needs it")] }
            return verification.findings.filter { $0.severity == .error }.map { finding in
                Diagnosis("Topology", .broken, "\(finding.subject): \(finding.problem)", remedy: finding.remedy)
            }
        } catch {
            return [Diagnosis("Topology", .broken, Failure(error).message, remedy: "Run `neff topology apply`.")]
        }
    }

    @Sendable private static func mail(_ settings: Settings) async -> [Diagnosis] {
        guard settings.isSet(Keys.smtpURL.name) else {
            return [
                Diagnosis("Mail", .warning, "SMTP_URL is not set", remedy: "Set it where the notification worker runs.")
            ]
        }
        do {
            let configuration = try SMTPConfiguration(url: settings.value(Keys.smtpURL))
            let client = SMTPClient(
                configuration: configuration, maxConnections: 1,
                logger: Logger(label: "doctor") { _ in SwiftLogNoOpLogHandler() })
            do {
                try await client.check()
                await client.close()
            } catch {
                await client.close()
                throw error
            }
            let protection = configuration.security == .none ? "in clear text" : "over TLS"
            return [
                Diagnosis(
                    "Mail", .well,
                    configuration.user == nil
                        ? "the server answers \(protection); SMTP_URL has no user to log in as"
                        : "the server takes our credentials \(protection)")
            ]
        } catch {
            return [
                Diagnosis(
                    "Mail", .broken, Failure(error).message,
                    remedy: "Check SMTP_URL: host, port, user, password, certificate.")
            ]
        }
    }

    @Sendable private static func credentials(_ settings: Settings) async -> [Diagnosis] {
        guard settings.isSet(Keys.signingKey.name) else {
            return [
                Diagnosis(
                    "Signing key", .warning, "CALENDLY_WEBHOOK_SIGNING_KEY is not set",
                    remedy: "Set it where the ingress runs.")
            ]
        }
        do {
            try SampleCredentials.refuse(in: settings)
            let key = try settings.value(Keys.signingKey)
            if SampleCredentials.isSample(key) {
                return [
                    Diagnosis(
                        "Signing key", .warning, "is a sample, as in development",
                        remedy: "Use the real one in production.")
                ]
            }
            return [Diagnosis("Signing key", .well, "is set and is not a sample")]
        } catch {
            return [
                Diagnosis(
                    "Signing key", .broken, Failure(error).message,
                    remedy: "Set the key that the subscription was made with.")
            ]
        }
    }

    @Sendable private static func files(_ settings: Settings) async -> [Diagnosis] {
        guard let path = try? settings.value(Keys.stateDirectory) else { return [] }
        var isDirectory = false
        let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
        if exists, isDirectory, FileManager.default.isWritableFile(atPath: path) {
            return [Diagnosis("State folder", .well, "\(path) can be written")]
        }
        return [
            Diagnosis(
                "State folder", .warning, "\(path) \(exists ? "cannot be written" : "does not exist")",
                remedy: "Make it and give it to the notification worker's user, or set NEFF_STATE_DIR.")
        ]
    }

    @Sendable private static func workers(_ settings: Settings) async -> [Diagnosis] {
        do {
            return try await Database.with("doctor") { pool in
                let rows = try await pool.query(
                    """
                    select role, count(*) as count from workers
                    where stopped_at is null and seen_at > now() - interval '30 seconds' group by role
                    """)
                let alive = try Dictionary(
                    uniqueKeysWithValues: rows.map { row in
                        (try row.decode("role", as: String.self), try row.decode("count", as: Int.self))
                    })
                var found = ["sync", "scheduling", "notification", "dead-letters"].map { role in
                    if let count = alive[role] { return Diagnosis("Worker \(role)", .well, "\(count) alive") }
                    return Diagnosis(
                        "Worker \(role)", .warning, "none is alive",
                        remedy: "Start `neff worker \(role)`; until then its messages wait.")
                }
                let letters: Int = try await pool.query(
                    "select count(*) as count from dead_letters where status = 'dead'")[0]["count"]
                found.append(
                    letters == 0
                        ? Diagnosis("Dead letters", .well, "none")
                        : Diagnosis(
                            "Dead letters", .warning, "\(letters) wait for somebody",
                            remedy: "Run `neff dead-letters list`."))
                return found
            }
        } catch {
            return []
        }
    }
}
