/// Passwords by role: of broker users, or with another prefix of whatever else has roles. They come from the environment
/// or a file, never from the topology file.
package struct RolePasswords: Sendable, CustomStringConvertible {
    /// What the names of the broker users' variables begin with.
    package static let brokerPrefix = "NEFF_BROKER_PASSWORD_"

    /// Passwords by role.
    package private(set) var byRole: [String: String]

    /// Takes passwords as they are.
    package init(_ byRole: [String: String] = [:]) {
        self.byRole = byRole
    }

    /// The environment variable of a role: `NEFF_BROKER_PASSWORD_INGRESS`.
    package static func variable(ofRole role: String, prefix: String = brokerPrefix) -> String {
        prefix + role.uppercased().replacing(".", with: "_").replacing("-", with: "_")
    }

    static func variable(ofUser user: String) -> String {
        variable(ofRole: String(user.trimmingPrefix(TopologyDocument.user(of: ""))))
    }

    /// Reads what the environment has for the roles of a topology; empty values do not count.
    package init(environment: [String: String], roles: some Sequence<String>, prefix: String = brokerPrefix) {
        byRole = [:]
        for role in roles {
            let password = environment[Self.variable(ofRole: role, prefix: prefix)]
            if let password, !password.isEmpty { byRole[role] = password }
        }
    }

    /// Adds the lines of a password file, `role=password` each; empty lines and lines that begin with # do not count.
    /// - Throws: `invalidSetting` for a line that reads otherwise or names no role; the line's text is not quoted.
    package mutating func add(file text: String, roles: some Collection<String>) throws(TopologyError) {
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.isEmpty || line.hasPrefix("#") { continue }
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[1].isEmpty else {
                throw TopologyError(.invalidSetting, "password file, line \(index + 1): not role=password")
            }
            guard roles.contains(String(parts[0])) else {
                throw TopologyError(
                    .invalidSetting,
                    "password file, line \(index + 1): no such role; there are \(roles.sorted().joined(separator: ", "))"
                )
            }
            byRole[String(parts[0])] = String(parts[1])
        }
    }

    package var description: String { "passwords for \(byRole.keys.sorted().joined(separator: ", "))" }
}
