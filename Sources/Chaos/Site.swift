import AMQP
package import Foundation
import Logging
package import Postgres
package import Sandbox
import Synchronization
package import TestSupport
package import Transport

/// One installation under test: a database and a virtual host of its own, and the built program's processes, with a
/// proxy in front of each server.
package final class Site: Sendable {
    /// How many processes of each role.
    package static let instances = ["ingress": 2, "sync": 2, "scheduling": 2, "notification": 2, "dead-letters": 1]

    package let servers: Servers
    package let pool: PostgresPool
    package let http: HTTPClient
    /// In front of the broker's nodes: one for the ingresses, one for the workers.
    package let ingressBroker: BrokerProxy
    package let workerBroker: BrokerProxy
    package let databaseProxy: BrokerProxy
    package let mailProxy: BrokerProxy
    package let mailDomain: String
    package let virtualHost: String
    package let signingKey = "chaos-signing-key-TEST-ONLY"
    /// Logs, send journals, and the record.
    package let folder: URL

    /// Mails of earlier runs on the same servers; one with the same seed has the same people in it.
    private let earlierMails: Int
    private let executable: String
    private let environment: [String: String]
    /// The database of this installation.
    package let databaseName: String
    private struct State {
        var processes: [String: Instance] = [:]
        var unexpectedEnds: [String] = []
        var isEnding = false
    }
    private struct Instance {
        let process: RunningProcess
        var isWanted = true
    }
    private let state = Mutex(State())
    private let ports: [String: (http: Int, admin: Int)]
    /// libfaketime, if processes have wall clocks of their own.
    private let clockLibrary: String?

    /// A command of the program that did not end as it should.
    package struct CommandFailure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Makes an installation on running servers, migrated and with its topology applied, but no process started.
    ///
    /// - Parameters:
    ///   - name: sets it apart from others on the same servers; lowercase letters and digits.
    ///   - folder: where logs and journals go; made if missing.
    ///   - stepsClocks: gives each process a wall clock that `setClock` can set; needs libfaketime.
    package init(
        servers: Servers, executable: String, name: String, folder: URL, settings: [String: String] = [:],
        stepsClocks: Bool = false
    ) async throws {
        self.servers = servers
        earlierMails = try Sandbox.Mailbox(path: servers.mailbox).read().count
        clockLibrary = try stepsClocks ? Self.findClockLibrary() : nil
        self.executable = executable
        self.folder = folder
        databaseName = "neff_chaos_\(name)"
        virtualHost = "chaos-\(name)"
        mailDomain = "\(name).example.com"
        http = HTTPClient(name: "chaos", maxConnectionsPerHost: 64, maxConnections: 192)
        try FileManager.default.createDirectory(at: folder.appending(path: "state"), withIntermediateDirectories: true)

        let logger = Logger(label: "chaos") { _ in SwiftLogNoOpLogHandler() }
        let maintenance = try await PostgresConnection.connect(servers.database("postgres"), logger: logger)
        _ = try await maintenance.query("drop database if exists \(identifier: databaseName) with (force)")
        _ = try await maintenance.query("create database \(identifier: databaseName)")
        await maintenance.close()
        pool = PostgresPool(
            configuration: try servers.database(databaseName), size: 4, acquireTimeout: .seconds(30), logger: logger)
        let user = servers.amqpURL.user ?? "guest"
        let host = virtualHost
        try await servers.withManagement { management in
            try? await management.deleteVirtualHost(host)
            try await management.createVirtualHost(host, user: user)
        }

        ingressBroker = try BrokerProxy(toAnyOf: servers.amqpPorts)
        workerBroker = try BrokerProxy(toAnyOf: servers.amqpPorts)
        databaseProxy = try BrokerProxy(to: servers.databaseURL.port ?? 5432)
        mailProxy = try BrokerProxy(to: servers.smtpURL.port ?? 25)
        var ports: [String: (http: Int, admin: Int)] = [:]
        for (role, count) in Self.instances {
            for number in 1...count { ports["\(role)-\(number)"] = (try FreePort.take(), try FreePort.take()) }
        }
        self.ports = ports

        var environment = ProcessInfo.processInfo.environment
        for name in environment.keys where name.hasPrefix("NEFF_") || name.hasPrefix("CHAOS_") {
            environment[name] = nil
        }
        var database = servers.databaseURL
        database.port = databaseProxy.port
        database.path = "/" + databaseName
        environment["DATABASE_URL"] = database.string
        var mail = servers.smtpURL
        mail.port = mailProxy.port
        environment["SMTP_URL"] = mail.string
        environment["RABBITMQ_MANAGEMENT_URL"] = servers.managementURLs[0]
        environment["CALENDLY_WEBHOOK_SIGNING_KEY"] = signingKey
        environment["NEFF_STATE_DIR"] = folder.appending(path: "state").path
        environment["NEFF_OFFICE_EMAIL"] = "office@\(mailDomain)"
        // Everything is tried again soon and for as long as a run takes.
        environment["NEFF_RETRY_TIERS"] = "5s"
        environment["NEFF_MAX_ATTEMPTS"] = "50"
        environment["NEFF_DRAIN_TIMEOUT_MS"] = "8000"
        environment["NEFF_DATABASE_POOL_SIZE"] = "6"
        environment.merge(settings) { _, new in new }
        self.environment = environment

        try await run("migrate", "up")
        try await run("topology", "apply")
        let resources = folder.appending(path: "resources.json")
        try Self.resources(domain: mailDomain).write(to: resources, atomically: true, encoding: .utf8)
        try await run("resources", "import", resources.path)
    }

    /// Ends every process at once, and our own sessions at the database.
    package func stopProcesses() async {
        let running = state.withLock { state in
            state.isEnding = true
            return Array(state.processes.values)
        }
        for instance in running { instance.process.signal(SIGKILL) }
        for instance in running { _ = await instance.process.waitForExit() }
        await pool.shutDown()
    }

    /// Ends what is left and removes database and virtual host.
    package func end(keepsData: Bool = false) async {
        await stopProcesses()
        for proxy in [ingressBroker, workerBroker, databaseProxy, mailProxy] { proxy.stop() }
        await http.close()
        guard !keepsData else { return }
        let host = virtualHost
        try? await servers.withManagement { try await $0.deleteVirtualHost(host) }
        let logger = Logger(label: "chaos") { _ in SwiftLogNoOpLogHandler() }
        if let connection = try? await PostgresConnection.connect(servers.database("postgres"), logger: logger) {
            _ = try? await connection.query("drop database if exists \(identifier: databaseName) with (force)")
            await connection.close()
        }
    }

    // MARK: Processes

    /// `sync-1`, `ingress-2` and so on, in order.
    package func names(of roles: [String] = Site.roles) -> [String] {
        roles.flatMap { role in (1...(Self.instances[role] ?? 1)).map { "\(role)-\($0)" } }
    }

    /// In the order in which they are started.
    package static let roles = ["ingress", "sync", "scheduling", "notification", "dead-letters"]

    /// Where the ingresses are served.
    package var ingresses: [String] {
        names(of: ["ingress"]).compactMap { ports[$0].map { "http://127.0.0.1:\($0.http)" } }
    }

    /// Starts a process; it is started again whenever it ends by itself, as a service manager would.
    ///
    /// - Parameter settings: of this process alone, such as another clock.
    package func start(_ name: String, settings: [String: String] = [:]) throws {
        guard let ports = ports[name] else { return }
        let role = String(name.prefix { $0 != "-" })
        let broker = role == "ingress" ? ingressBroker : workerBroker
        var environment = environment
        var amqp = servers.amqpURL
        amqp.host = "127.0.0.1"
        amqp.port = broker.port
        amqp.path = "/" + virtualHost
        amqp.query = "heartbeat=5"
        environment["AMQP_URL"] = amqp.string
        environment["NEFF_ADMIN_ADDRESS"] = "127.0.0.1:\(ports.admin)"
        environment["NEFF_HTTP_ADDRESS"] = "127.0.0.1:\(ports.http)"
        if let clockLibrary {
            environment["LD_PRELOAD"] = clockLibrary
            environment["FAKETIME_TIMESTAMP_FILE"] = clockFile(name).path
            environment["FAKETIME_CACHE_DURATION"] = "1"
            // A step of the wall clock leaves the monotonic one alone.
            environment["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
            environment["DONT_FAKE_MONOTONIC"] = "1"
            // Without this name the library sets one itself, before main; that moves the environment, behind which
            // Swift looks for the arguments, and the program sees none.
            environment["FAKETIME_SHARED"] = "/neff_none /neff_none"
            if !FileManager.default.fileExists(atPath: clockFile(name).path) { try setClock(of: name, offset: 0) }
        }
        environment.merge(settings) { _, new in new }
        let kind = name.hasPrefix("dead-letters") ? "dead-letters" : role
        let log = folder.appending(path: "\(name).log")
        let process = try RunningProcess(
            executable: executable, arguments: kind == "ingress" ? ["ingress"] : ["worker", kind],
            environment: environment, output: log, errors: log)
        state.withLock { $0.processes[name] = Instance(process: process) }
        // Unstructured: it lives as long as the process, and ends with it.
        Task { [self] in
            let code = await process.waitForExit()
            let mustRestart = state.withLock { state -> Bool in
                guard let instance = state.processes[name], instance.process === process, instance.isWanted,
                    !state.isEnding
                else { return false }
                // 69: a server cannot be reached while starting. Everything else is the program's own doing.
                if code != 69 { state.unexpectedEnds.append("\(name) ended by itself with \(code)") }
                return true
            }
            if mustRestart {
                try? await Task.sleep(for: .seconds(1))
                try? start(name, settings: settings)
            }
        }
    }

    private func clockFile(_ name: String) -> URL { folder.appending(path: "\(name).clock") }

    /// Sets a process's wall clock to so many seconds from the real one; it notices within a second.
    func setClock(of name: String, offset: Int) throws {
        try "\(offset >= 0 ? "+" : "")\(offset)\n".write(to: clockFile(name), atomically: true, encoding: .utf8)
    }

    private static func findClockLibrary() throws -> String {
        let folder = URL(fileURLWithPath: "/usr/lib")
        let architectures = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        for architecture in architectures {
            let file = folder.appending(path: "\(architecture)/faketime/libfaketimeMT.so.1").path
            if FileManager.default.fileExists(atPath: file) { return file }
        }
        throw CommandFailure(description: "libfaketime is missing; run scripts/setup --chaos")
    }

    package func startEverything() async throws {
        for name in names() { try start(name) }
        for name in names() { try await waitUntilReady(name) }
    }

    package func waitUntilReady(_ name: String, within limit: Duration = .seconds(60)) async throws {
        guard let port = ports[name]?.admin else { return }
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline {
            let answer = try? await http.send(HTTPRequest(url: "http://127.0.0.1:\(port)/readyz", timeout: .seconds(2)))
            if answer?.status == 200 { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw CommandFailure(description: "\(name) did not become ready; see \(folder.path)/\(name).log")
    }

    /// SIGKILL, and a new process.
    package func kill(_ name: String, thenStart: Bool = true) async throws {
        await endProcess(name, SIGKILL)
        if thenStart { try start(name) }
    }

    /// SIGTERM, the wait for its end, and a new process that is ready.
    ///
    /// - Returns: its exit code.
    @discardableResult
    package func restart(_ name: String, settings: [String: String] = [:]) async throws -> Int32 {
        let code = await endProcess(name, SIGTERM)
        try start(name, settings: settings)
        try await waitUntilReady(name)
        return code
    }

    @discardableResult
    private func endProcess(_ name: String, _ signal: CInt) async -> Int32 {
        let process = state.withLock { state in
            state.processes[name]?.isWanted = false
            return state.processes[name]?.process
        }
        guard let process else { return 0 }
        process.signal(signal)
        return await process.waitForExit()
    }

    /// Processes that ended though nobody had told them to, for another reason than a missing server at their start.
    package var unexpectedEnds: [String] { state.withLock { $0.unexpectedEnds } }

    /// Runs a command of the program to its end and gives what it printed.
    ///
    /// - Throws: `CommandFailure` if it does not exit with 0.
    @discardableResult
    package func run(_ arguments: String...) async throws -> String {
        let (code, text) = try await execute(arguments)
        guard code == 0 else {
            throw CommandFailure(description: "neff \(arguments.joined(separator: " ")) ended with \(code): \(text)")
        }
        return text
    }

    /// Runs a command past the proxies and gives its exit code and output.
    package func execute(_ arguments: [String]) async throws -> (code: Int32, output: String) {
        var environment = environment
        var amqp = servers.amqpURL
        amqp.path = "/" + virtualHost
        environment["AMQP_URL"] = amqp.string
        var database = servers.databaseURL
        database.path = "/" + databaseName
        environment["DATABASE_URL"] = database.string
        let output = folder.appending(path: "out-\(UUID().uuidString)")
        let errors = folder.appending(path: "err-\(UUID().uuidString)")
        defer { for file in [output, errors] { try? FileManager.default.removeItem(at: file) } }
        let process = try RunningProcess(
            executable: executable, arguments: arguments, environment: environment, output: output, errors: errors)
        let code = await process.waitForExit()
        let text = (try? String(contentsOf: output, encoding: .utf8)) ?? ""
        return (code, code == 0 ? text : text + ((try? String(contentsOf: errors, encoding: .utf8)) ?? ""))
    }

    // MARK: Looking

    /// The mail of this installation that the mail server has accepted.
    package func mails() throws -> [Sandbox.Mailbox.Mail] {
        try Sandbox.Mailbox(path: servers.mailbox).read().dropFirst(earlierMails).filter { mail in
            mail.recipients.contains { $0.hasSuffix("@" + mailDomain) || $0.hasSuffix("." + mailDomain) }
        }
    }

    /// What still waits somewhere, by place; empty once everything has come to rest.
    package func unsettled() async throws -> [String: Int] {
        let row = try await pool.query(
            """
            select (select count(*) from outbox where available_at <= now()) as outbox,
                (select count(*) from spool) as spool,
                (select count(*) from notifications where status in ('planned', 'sending')) as notifications,
                (select count(*) from operations where status = 'pending') as operations
            """)[0]
        var waiting: [String: Int] = [:]
        for name in ["outbox", "spool", "notifications", "operations"] {
            waiting[name] = try row.decode(name, as: Int.self)
        }
        let host = virtualHost
        for queue in try await servers.withManagement({ try await $0.queues(virtualHost: host) }) {
            waiting["queue \(queue.name)"] = queue.messages ?? -1
        }
        return waiting.filter { $0.value != 0 }
    }

    /// Waits until nothing waits anywhere, seen twice; gives what still waits when the time is up.
    package func settle(within limit: Duration) async -> [String: Int] {
        let deadline = ContinuousClock.now + limit
        var waiting = ["everything": 1]
        var quiet = 0
        while quiet < 2, ContinuousClock.now < deadline {
            // The management API's counts are up to two seconds old.
            try? await Task.sleep(for: .seconds(2))
            do {
                waiting = try await unsettled()
                quiet = waiting.isEmpty ? quiet + 1 : 0
            } catch {
                quiet = 0
                waiting = ["\(error)": 1]
            }
        }
        return quiet < 2 && waiting.isEmpty ? ["nothing for long enough": 1] : waiting
    }

    private static func resources(domain: String) -> String {
        let estimators = (1...4).map {
            #"{"kind": "estimator", "name": "Estimator \#($0)", "email": "estimator.\#($0)@\#(domain)"}"#
        }
        let crews = (1...4).map { #"{"kind": "crew", "name": "Crew \#($0)", "email": "crew.\#($0)@\#(domain)"}"# }
        return #"{"resources": [\#((estimators + crews).joined(separator: ", "))]}"#
    }
}
