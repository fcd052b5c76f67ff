import Foundation
import Postgres
import Testing

/// Bad configuration ends every process with one clear line and the documented exit code.
@Suite(.serialized, .timeLimit(.minutes(5))) struct StartUpTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let arguments: [String]
        /// Nil removes a variable.
        let settings: [String: String?]
        let code: Int32
        /// What the one line must name.
        let mentions: String
    }

    static let cases = [
        Case(
            testDescription: "missing key", arguments: ["worker", "sync"], settings: ["AMQP_URL": nil], code: 78,
            mentions: "AMQP_URL is not set"),
        Case(
            testDescription: "unknown key", arguments: ["ingress"], settings: ["NEFF_HTP_ADDRESS": "127.0.0.1:1"],
            code: 78,
            mentions: "NEFF_HTTP_ADDRESS"),
        Case(
            testDescription: "wrong URL", arguments: ["worker", "sync"],
            settings: ["DATABASE_URL": "mysql://localhost/x"],
            code: 78, mentions: "DATABASE_URL"),
        Case(
            testDescription: "broken AMQP URL", arguments: ["ingress"], settings: ["AMQP_URL": "http://localhost"],
            code: 78,
            mentions: "AMQP_URL"),
        Case(
            testDescription: "unreachable broker", arguments: ["worker", "sync"],
            settings: ["AMQP_URL": "amqp://guest:guest@127.0.0.1:1/x"], code: 69, mentions: "RabbitMQ"),
        Case(
            testDescription: "unreachable database", arguments: ["worker", "scheduling"],
            settings: ["DATABASE_URL": "postgres://neff:wrong@127.0.0.1:1/neff"], code: 69, mentions: "PostgreSQL"),
        Case(
            testDescription: "sample key in production", arguments: ["ingress"], settings: ["NEFF_MODE": "production"],
            code: 78, mentions: "CALENDLY_WEBHOOK_SIGNING_KEY"),
        Case(
            testDescription: "sample password of the rehearsal in production", arguments: ["ingress"],
            settings: [
                "NEFF_MODE": "production", "CALENDLY_WEBHOOK_SIGNING_KEY": "k3",
                "NEFF_REHEARSAL_DATABASE_URL": "postgres://neff:changeme@127.0.0.1:1/neff",
            ], code: 78, mentions: "NEFF_REHEARSAL_DATABASE_URL"),
        Case(
            testDescription: "sample password of the management API in production", arguments: ["ingress"],
            settings: [
                "NEFF_MODE": "production", "CALENDLY_WEBHOOK_SIGNING_KEY": "k3",
                "RABBITMQ_MANAGEMENT_URL": "http://neff:changeme@127.0.0.1:1",
            ], code: 78, mentions: "RABBITMQ_MANAGEMENT_URL"),
        Case(
            testDescription: "clear text mail in production, written another way", arguments: ["ingress"],
            settings: [
                "NEFF_MODE": "production", "CALENDLY_WEBHOOK_SIGNING_KEY": "k3",
                "SMTP_URL": "smtp://mail.example.com:25?starttls=%6eone",
            ], code: 78, mentions: "sends mail unencrypted"),
        Case(
            testDescription: "broken SMTP URL", arguments: ["worker", "notification"],
            settings: ["SMTP_URL": "smtp://mail.example.com?starttls=perhaps"], code: 78, mentions: "SMTP_URL"),
        // TEST-NET-1 (RFC 5737): no host has such an address.
        Case(
            testDescription: "foreign HTTP address", arguments: ["ingress"],
            settings: ["NEFF_HTTP_ADDRESS": "192.0.2.1:8080"], code: 78, mentions: "NEFF_HTTP_ADDRESS"),
        Case(
            testDescription: "foreign admin address", arguments: ["worker", "sync"],
            settings: ["NEFF_ADMIN_ADDRESS": "192.0.2.1:9464"], code: 78, mentions: "NEFF_ADMIN_ADDRESS"),
        Case(
            testDescription: "missing certificate", arguments: ["ingress"],
            settings: [
                "NEFF_HTTP_TLS_CERTIFICATE": "/nonexistent/chain.pem", "NEFF_HTTP_TLS_KEY": "/nonexistent/key.pem",
            ], code: 78, mentions: "NEFF_HTTP_TLS_CERTIFICATE"),
        Case(
            testDescription: "empty signing key", arguments: ["ingress"],
            settings: ["CALENDLY_WEBHOOK_SIGNING_KEY": ""], code: 78, mentions: "CALENDLY_WEBHOOK_SIGNING_KEY"),
        Case(
            testDescription: "state folder that cannot be", arguments: ["worker", "notification"],
            settings: ["NEFF_STATE_DIR": "/dev/null/neff"], code: 78, mentions: "NEFF_STATE_DIR"),
        Case(
            testDescription: "no time zone for sync", arguments: ["worker", "sync"],
            settings: ["NEFF_SITE_TIME_ZONE": "America/New_Yrok"], code: 78, mentions: "NEFF_SITE_TIME_ZONE"),
        Case(
            testDescription: "no time zone for scheduling", arguments: ["worker", "scheduling"],
            settings: ["NEFF_SITE_TIME_ZONE": "America/New_Yrok"], code: 78, mentions: "NEFF_SITE_TIME_ZONE"),
        Case(
            testDescription: "no address of the office", arguments: ["worker", "notification"],
            settings: ["NEFF_OFFICE_EMAIL": "the office"], code: 78, mentions: "NEFF_OFFICE_EMAIL"),
    ]

    @Test(arguments: cases)
    func endsWithOneLine(_ wrong: Case) async throws {
        try await Installation.with { neff in
            let (code, output, errors) = try await neff.execute(wrong.arguments, settings: wrong.settings)
            let lines = errors.split(separator: "\n").filter { $0.hasPrefix("neff: ") }
            #expect(code == wrong.code, "\(output)\(errors)")
            #expect(lines.count == 1, "\(errors)")
            #expect(lines.first?.contains(wrong.mentions) == true, "\(errors)")
        }
    }

    @Test func aWrongPasswordIsAccessRefused() async throws {
        try await Installation.with { neff in
            for key in ["AMQP_URL", "DATABASE_URL"] {
                let url = try #require(ProcessInfo.processInfo.environment[key])
                var parts = try #require(URLComponents(string: url))
                parts.password = "wrong"
                let (code, _, errors) = try await neff.execute(["worker", "sync"], settings: [key: parts.string])
                #expect(code == 77, "\(errors)")
                #expect(!errors.contains("wrong@"))
            }
        }
    }

    @Test func aSchemaFromTheFutureIsRefused() async throws {
        try await Installation.with { neff in
            _ = try await neff.pool.query(
                """
                insert into schema_migrations (version, name, checksum, applied_at, duration_ms)
                values (999, 'from_the_future', repeat('0', 64), now(), 1)
                """)
            let (code, _, errors) = try await neff.execute(["worker", "sync"])
            #expect(code == 78)
            #expect(errors.contains("Install a newer neff"))
        }
    }
}
