import Foundation
package import Postgres
package import TestSupport

/// The servers that a run takes place on, and how to hurt them.
package struct Servers: Sendable {
    /// AMQP ports of the broker's nodes on 127.0.0.1.
    package let amqpPorts: [Int]
    let amqpURL: URLComponents
    let managementURLs: [String]
    let databaseURL: URLComponents
    let smtpURL: URLComponents
    /// Where the mail server writes down what it accepted.
    package let mailbox: String
    /// `scripts/support/chaos_servers`, if these servers may be killed; nil for servers that others use, too.
    private let control: String?

    /// The environment lacks something.
    package struct Missing: Error, CustomStringConvertible {
        package let description: String
    }

    /// A command of the control script failed.
    package struct ControlFailure: Error, CustomStringConvertible {
        package let description: String
    }

    /// - Parameter environment: as `scripts/support/chaos_servers up` or `scripts/services up` writes it.
    package init(environment: [String: String]) throws {
        func need(_ name: String) throws -> String {
            guard let value = environment[name], !value.isEmpty else {
                throw Missing(description: "\(name) is not set")
            }
            return value
        }
        func url(_ name: String) throws -> URLComponents {
            guard let url = try URLComponents(string: need(name)) else {
                throw Missing(description: "\(name) is no URL")
            }
            return url
        }
        amqpURL = try url("AMQP_URL")
        databaseURL = try url("DATABASE_URL")
        smtpURL = try url("SMTP_URL")
        mailbox = try need("NEFF_SMTP_MAILBOX")
        let management = try url("RABBITMQ_MANAGEMENT_URL")
        let ports = environment["CHAOS_AMQP_PORTS"]?.split(separator: ",").compactMap { Int($0) } ?? []
        amqpPorts = ports.isEmpty ? [amqpURL.port ?? 5672] : ports
        let managementPorts =
            environment["CHAOS_MANAGEMENT_PORTS"]?.split(separator: ",").compactMap { Int($0) } ?? []
        managementURLs = (managementPorts.isEmpty ? [management.port ?? 15_672] : managementPorts).compactMap { port in
            var url = management
            url.port = port
            return url.string
        }
        control = environment["CHAOS_SERVERS"]
    }

    /// The broker's nodes, from 1.
    package var nodes: [Int] { Array(1...amqpPorts.count) }

    // MARK: Faults

    /// SIGKILL.
    package func kill(_ names: [String]) async throws { try await run(["kill"] + names) }

    /// Starts what does not run, and waits until it answers.
    package func start(_ names: [String]) async throws { try await run(["start"] + names) }

    /// SIGTERM, and what it takes.
    package func stop(_ names: [String]) async throws { try await run(["stop"] + names) }

    /// Runs `rabbitmqctl` against a node.
    @discardableResult
    package func rabbitmqctl(_ node: Int, _ arguments: String...) async throws -> String {
        try await run(["ctl", "\(node)"] + arguments)
    }

    /// Starts everything that does not run.
    package func heal() async throws {
        try await start(nodes.map { "rabbit\($0)" } + ["postgres", "smtp"])
    }

    @discardableResult
    private func run(_ arguments: [String]) async throws -> String {
        guard let control else { throw ControlFailure(description: "these servers may not be hurt") }
        let output = FileManager.default.temporaryDirectory.appending(path: "chaos-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: output) }
        let process = try RunningProcess(
            executable: control, arguments: arguments, environment: ProcessInfo.processInfo.environment,
            output: output, errors: output)
        let code = await process.waitForExit()
        let text = (try? String(contentsOf: output, encoding: .utf8)) ?? ""
        guard code == 0 else {
            throw ControlFailure(description: "\(arguments.joined(separator: " ")) ended with \(code): \(text)")
        }
        return text
    }

    // MARK: Looking

    /// The management API of the first node that answers.
    package func withManagement<Result: Sendable>(
        _ body: @Sendable (BrokerManagement) async throws -> Result
    ) async throws -> Result {
        var last: any Error = ControlFailure(description: "no management API is known")
        for url in managementURLs {
            do { return try await body(try BrokerManagement(address: url)) } catch { last = error }
        }
        throw last
    }

    /// The server's configuration with another database.
    package func database(_ name: String) throws -> PostgresConfiguration {
        try PostgresConfiguration(url: databaseURL.string ?? "", applicationName: "neff-chaos").withDatabase(name)
    }
}
