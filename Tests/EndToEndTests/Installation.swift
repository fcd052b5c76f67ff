import AMQP
import Foundation
import Messaging
import Persistence
import Postgres
import Sandbox
import Synchronization
import TestSupport
import Transport

/// One installation of the built program: a database and a virtual host of its own, and processes that are really
/// processes, each with the broker user and the database log-in of its role and no others. Broker and database lie behind
/// proxies, so that a test can take either away.
final class Installation: Sendable {
    let pool: PostgresPool
    let http = HTTPClient(name: "end-to-end")
    let brokerProxy: BrokerProxy
    let databaseProxy: BrokerProxy
    let signingKey = "end-to-end-signing-key-TEST-ONLY"
    let mailDomain: String
    let virtualHost: String

    private let executable: String
    private let accounts: Accounts
    private let folder: URL
    private let processes = Mutex<[String: RunningProcess]>([:])
    private let httpPort: Int

    /// Makes an installation, migrates it, applies the topology, and ends all of it after the body.
    static func with(
        settings: [String: String] = [:], _ body: @Sendable (Installation) async throws -> Void
    ) async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            try await withVirtualHost { broker in
                let installation = try await Installation(pool: pool, broker: broker, settings: settings)
                do {
                    try await body(installation)
                    await installation.end()
                } catch {
                    installation.showLogs()
                    await installation.end()
                    throw error
                }
            }
        }
    }

    private init(pool: PostgresPool, broker: AMQPConfiguration, settings: [String: String]) async throws {
        self.pool = pool
        virtualHost = broker.virtualHost
        executable = try BrokerManagement.environment("NEFF_EXECUTABLE")
        folder = FileManager.default.temporaryDirectory.appending(path: "neff-end-to-end-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder.appending(path: "state"), withIntermediateDirectories: true)
        mailDomain = "\(folder.lastPathComponent.suffix(12).lowercased()).example.com"

        brokerProxy = try BrokerProxy(to: broker.port)
        var amqp = try Self.components(BrokerManagement.environment("AMQP_URL"))
        amqp.port = brokerProxy.port
        amqp.host = "127.0.0.1"
        amqp.path = "/" + virtualHost
        var database = try Self.components(BrokerManagement.environment("DATABASE_URL"))
        databaseProxy = try BrokerProxy(to: database.port ?? 5432)
        database.port = databaseProxy.port
        database.host = "127.0.0.1"
        database.path = "/" + (pool.configuration.database ?? "")
        httpPort = try FreePort.take()

        var environment: [String: String] = [:]
        environment["NEFF_HTTP_ADDRESS"] = "127.0.0.1:\(httpPort)"
        environment["CALENDLY_WEBHOOK_SIGNING_KEY"] = signingKey
        environment["NEFF_STATE_DIR"] = folder.appending(path: "state").path
        environment["NEFF_RETRY_TIERS"] = "5s"
        environment["NEFF_DRAIN_TIMEOUT_MS"] = "8000"
        environment["NEFF_DATABASE_POOL_SIZE"] = "6"
        environment["NEFF_LOG_LEVEL"] = "info"
        for (name, value) in settings { environment[name] = value }
        accounts = try Accounts(amqp: amqp, database: database, settings: environment)

        try await run("roles", "apply")
        try await run("topology", "apply")
        let resources = folder.appending(path: "resources.json")
        try Self.resources.write(to: resources, atomically: true, encoding: .utf8)
        try await run("resources", "import", resources.path)
    }

    var ingress: String { "http://127.0.0.1:\(httpPort)" }

    // MARK: Processes

    /// Runs a command to its end.
    ///
    /// - Throws: if it does not exit with 0.
    @discardableResult
    func run(_ arguments: String...) async throws -> String {
        let (code, output, errors) = try await execute(arguments)
        guard code == 0 else { throw ProcessFailure(arguments: arguments, code: code, output: output + errors) }
        return output
    }

    /// Runs a command and gives its exit code and what it printed.
    ///
    /// - Parameter text: what it reads from standard input.
    func execute(
        _ arguments: [String], input text: String? = nil, settings: [String: String?] = [:]
    ) async throws -> (code: Int32, output: String, errors: String) {
        var environment = try accounts.environment(for: arguments)
        for (name, value) in settings { environment[name] = value }
        let output = folder.appending(path: "out-\(UUID().uuidString)")
        let errors = folder.appending(path: "err-\(UUID().uuidString)")
        let input = try text.map { text in
            let file = folder.appending(path: "in-\(UUID().uuidString)")
            try Data(text.utf8).write(to: file)
            return file
        }
        let process = try RunningProcess(
            executable: executable, arguments: arguments, environment: environment, input: input, output: output,
            errors: errors)
        let code = await process.waitForExit()
        return (
            code, (try? String(contentsOf: output, encoding: .utf8)) ?? "",
            (try? String(contentsOf: errors, encoding: .utf8)) ?? ""
        )
    }

    /// Starts a command in the background that is no service; `log(of:)` has what it prints.
    func begin(_ name: String, _ arguments: String...) async throws {
        let log = folder.appending(path: "\(name).log")
        let process = try RunningProcess(
            executable: executable, arguments: arguments, environment: try accounts.environment(for: arguments),
            output: log, errors: log)
        processes.withLock { $0[name] = process }
    }

    /// Starts a role in the background and waits until it is ready.
    func start(_ name: String, _ arguments: String..., settings: [String: String] = [:]) async throws {
        let port = try FreePort.take()
        var environment = try accounts.environment(for: arguments)
        environment["NEFF_ADMIN_ADDRESS"] = "127.0.0.1:\(port)"
        for (name, value) in settings { environment[name] = value }
        let log = folder.appending(path: "\(name).log")
        let process = try RunningProcess(
            executable: executable, arguments: arguments, environment: environment, output: log, errors: log)
        processes.withLock { $0[name] = process }
        for _ in 0..<300 {
            let answer = try? await http.send(HTTPRequest(url: "http://127.0.0.1:\(port)/readyz", timeout: .seconds(2)))
            if answer?.status == 200 { return }
            if !process.isRunning { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw ProcessFailure(arguments: arguments, code: -1, output: "\(name) did not become ready")
    }

    /// The ingress and one worker of each kind.
    func startEverything() async throws {
        try await start("ingress", "ingress")
        for role in ["sync", "scheduling", "notification", "dead-letters"] { try await start(role, "worker", role) }
    }

    /// SIGKILL, and the wait until the process is gone.
    func kill(_ name: String) async {
        guard let process = processes.withLock({ $0.removeValue(forKey: name) }) else { return }
        process.signal(SIGKILL)
        _ = await process.waitForExit()
    }

    /// SIGTERM; gives the exit code.
    func terminate(_ name: String) async -> Int32? {
        guard let process = processes.withLock({ $0.removeValue(forKey: name) }) else { return nil }
        process.signal(SIGTERM)
        return await process.waitForExit()
    }

    func log(of name: String) -> String {
        (try? String(contentsOf: folder.appending(path: "\(name).log"), encoding: .utf8)) ?? ""
    }

    private func end() async {
        let running = processes.withLock { processes in
            let all = Array(processes.values)
            processes = [:]
            return all
        }
        for process in running { process.signal(SIGKILL) }
        for process in running { _ = await process.waitForExit() }
        await http.close()
        brokerProxy.stop()
        databaseProxy.stop()
        try? FileManager.default.removeItem(at: folder)
    }

    /// The ends of all logs, on standard error, for whoever reads a failure.
    private func showLogs() {
        let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
        for file in files where file.pathExtension == "log" {
            let lines = ((try? String(contentsOf: file, encoding: .utf8)) ?? "").split(separator: "\n").suffix(12)
            FileHandle.standardError.write(
                Data("--- \(file.lastPathComponent)\n\(lines.joined(separator: "\n"))\n".utf8))
        }
    }

    // MARK: The outside world

    /// Sends a webhook, signed now, and gives the status; nil if there was no answer.
    func deliver(_ delivery: Sandbox.Delivery) async -> Int? {
        let response = try? await http.send(
            HTTPRequest(
                method: "POST", url: ingress + "/webhooks/calendly",
                headers: [
                    "Content-Type": "application/json",
                    "Calendly-Webhook-Signature": delivery.signature(key: signingKey, at: Date()),
                ], body: delivery.body, timeout: .seconds(20)))
        return response?.status
    }

    /// Waits until a claim holds, at most so long.
    func eventually(
        within limit: Duration = .seconds(60), _ claim: () async throws -> Bool
    ) async throws -> Bool {
        let deadline = ContinuousClock.now + limit
        repeat {
            if (try? await claim()) == true { return true }
            try await Task.sleep(for: .milliseconds(100))
        } while ContinuousClock.now < deadline
        return try await claim()
    }

    /// Whether nothing is on its way any more: outbox, spool, planned mail and work queues are empty.
    func isSettled() async throws -> Bool {
        let waiting: Int = try await pool.query(
            """
            select (select count(*) from outbox where available_at <= now()) + (select count(*) from spool)
                + (select count(*) from notifications where status in ('planned', 'sending'))
                + (select count(*) from operations where status = 'pending') as count
            """)[0]["count"]
        guard waiting == 0 else { return false }
        let queues = try await BrokerManagement.fromEnvironment().queues(virtualHost: virtualHost)
        return queues.allSatisfy { ($0.messages ?? 0) == 0 }
    }

    /// Mail to a recipient of this installation, read back from the mail server.
    func mails(to recipient: String) throws -> [Sandbox.Mailbox.Mail] {
        try mails().filter { $0.recipients.contains { $0.lowercased() == recipient.lowercased() } }
    }

    func mails() throws -> [Sandbox.Mailbox.Mail] {
        let path = try BrokerManagement.environment("NEFF_SMTP_MAILBOX")
        return try Sandbox.Mailbox(path: path).read().filter { mail in
            mail.recipients.contains { $0.lowercased().hasSuffix("@" + mailDomain) }
        }
    }

    // MARK: Set-up

    private static func components(_ url: String) throws -> URLComponents {
        guard let parts = URLComponents(string: url) else { throw URLError(.badURL) }
        return parts
    }

    private static let resources = """
        {"resources": [
          {"kind": "estimator", "name": "Estimator East"}, {"kind": "estimator", "name": "Estimator West"},
          {"kind": "crew", "name": "Crew North"}, {"kind": "crew", "name": "Crew South"}
        ]}
        """
}

/// A command that did not end as it should.
struct ProcessFailure: Error, CustomStringConvertible {
    let arguments: [String]
    let code: Int32
    let output: String

    var description: String { "neff \(arguments.joined(separator: " ")) ended with \(code): \(output)" }
}
