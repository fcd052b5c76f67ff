import AMQP
import Foundation
import Logging
import TestSupport
import Testing
import Topology
import Transport

/// A virtual host of a real broker, the shipped topology with role names of its own (broker users are shared by all
/// virtual hosts), and what it takes to look at it.
struct BrokerFixture: Sendable {
    let document: TopologyDocument
    let api: ManagementAPI
    let configuration: AMQPConfiguration
    let suffix: String
    let client: HTTPClient

    var virtualHost: String { configuration.virtualHost }

    /// Every role's password.
    var passwords: RolePasswords { RolePasswords(document.roles.mapValues { _ in "password-\(suffix)" }) }

    func deployment(_ passwords: RolePasswords = RolePasswords()) -> TopologyDeployment {
        TopologyDeployment(document, on: api, passwords: passwords)
    }

    /// The broker user of a role of the shipped file.
    func user(_ role: String) -> String { TopologyDocument.user(of: "\(role)-\(suffix)") }

    /// The management API, as a role's user.
    func api(as role: String) throws -> ManagementAPI {
        let address = try BrokerManagement.environment("RABBITMQ_MANAGEMENT_URL")
        let server = address.split(separator: "@").last ?? ""
        return ManagementAPI(
            address: try ManagementAddress("http://\(user(role)):password-\(suffix)@\(server)"),
            virtualHost: virtualHost, client: client)
    }

    /// A connection, as the administrator or as a role's user.
    func withConnection<Value: Sendable>(
        as role: String? = nil, _ body: (Connection) async throws -> Value
    ) async throws -> Value {
        var configuration = configuration
        if let role {
            configuration = AMQPConfiguration(
                host: configuration.host, port: configuration.port, user: user(role), password: "password-\(suffix)",
                virtualHost: configuration.virtualHost, tls: configuration.tls, connectionName: "test-\(role)")
        }
        let connection = try await Connection.open(configuration, logger: Logger(label: "test"))
        do {
            let value = try await body(connection)
            await connection.close()
            return value
        } catch {
            await connection.close()
            throw error
        }
    }
}

/// Runs a test in a virtual host of its own, and removes it and its users afterwards.
func withBroker(_ body: (BrokerFixture) async throws -> Void) async throws {
    try await withVirtualHost { configuration in
        let suffix = String(UInt32.random(in: .min ... .max), radix: 36)
        let client = HTTPClient(name: "topology-test")
        let fixture = BrokerFixture(
            document: try TopologyDocument.load(yaml: try shippedText(roleSuffix: suffix)),
            api: ManagementAPI(
                address: try ManagementAddress(BrokerManagement.environment("RABBITMQ_MANAGEMENT_URL")),
                virtualHost: configuration.virtualHost, client: client),
            configuration: configuration, suffix: suffix, client: client)
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body(fixture)) } catch { outcome = .failure(error) }
        let management = try BrokerManagement.fromEnvironment()
        for role in fixture.document.roles.keys {
            // Not every test makes users.
            try? await management.deleteUser(TopologyDocument.user(of: role))
        }
        await client.close()
        try outcome.get()
    }
}

/// The file in the repository, with another name for each role.
private func shippedText(roleSuffix suffix: String) throws -> String {
    let path = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let text = try String(contentsOfFile: "/\(path)/topology/topology.yaml", encoding: .utf8)
    let parts = text.split(separator: "\nroles:\n", maxSplits: 1)
    let roles = try #require(parts.last).replacing(/(?m)^  ([a-z]+):$/) { "  \($0.output.1)-\(suffix):" }
    return "\(parts[0])\nroles:\n\(roles)"
}
