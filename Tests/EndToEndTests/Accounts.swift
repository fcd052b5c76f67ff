import Foundation
import Persistence
import TestSupport
import Topology

/// The environment of each process: the addresses with the user and password of its role, and no other role's.
struct Accounts: Sendable {
    private let amqp: URLComponents
    private let database: URLComponents
    private let management: URLComponents
    private let inherited: [String: String]
    private let settings: [String: String]

    /// - Parameters:
    ///   - amqp: the broker, as the administrator.
    ///   - database: the database, as the administrator.
    ///   - settings: what every process gets besides.
    init(amqp: URLComponents, database: URLComponents, settings: [String: String]) throws {
        self.amqp = amqp
        self.database = database
        self.settings = settings
        guard let management = URLComponents(string: try BrokerManagement.environment("RABBITMQ_MANAGEMENT_URL")) else {
            throw URLError(.badURL)
        }
        self.management = management
        inherited = ProcessInfo.processInfo.environment
    }

    /// What a command line of the program runs with.
    func environment(for arguments: [String]) throws -> [String: String] {
        switch arguments.first {
        case "migrate", "roles", "topology": administrator
        case "ingress": try environment(of: .ingress)
        case "worker":
            if let role = ServiceRole(rawValue: arguments[1].replacing("-", with: "")) {
                try environment(of: role)
            } else {
                // All kinds in one process need the rights of all.
                administrator
            }
        default: try environment(of: .people)
        }
    }

    private var administrator: [String: String] {
        var environment = inherited
        environment["AMQP_URL"] = amqp.string
        environment["DATABASE_URL"] = database.string
        return environment.merging(settings) { _, new in new }
    }

    /// - Throws: if the environment of the tests has no passwords for the role.
    private func environment(of role: ServiceRole) throws -> [String: String] {
        let broker = try password(of: role, prefix: RolePasswords.brokerPrefix)
        let user = TopologyDocument.user(of: role.rawValue)
        var environment = inherited.filter { name, _ in !Self.belongsToRoles(name) }
        environment["AMQP_URL"] = Self.address(amqp, user: user, password: broker)
        environment["DATABASE_URL"] = Self.address(
            database, user: ServiceLogins.standardPrefix + role.rawValue,
            password: try password(of: role, prefix: "NEFF_DATABASE_PASSWORD_"))
        // Only people look at the management API.
        environment["RABBITMQ_MANAGEMENT_URL"] =
            role == .people ? Self.address(management, user: user, password: broker) : nil
        return environment.merging(settings) { _, new in new }
    }

    private func password(of role: ServiceRole, prefix: String) throws -> String {
        try BrokerManagement.environment(RolePasswords.variable(ofRole: role.rawValue, prefix: prefix))
    }

    private static func belongsToRoles(_ name: String) -> Bool {
        ["NEFF_BROKER_PASSWORD_", "NEFF_DATABASE_PASSWORD_", "AMQP_URL", "AMQPS_URL", "DATABASE_"].contains {
            name.hasPrefix($0)
        }
    }

    private static func address(_ server: URLComponents, user: String, password: String) -> String? {
        var server = server
        server.user = user
        server.password = password
        return server.string
    }
}
