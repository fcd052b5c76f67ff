internal import FoundationEssentials

/// A topology as RabbitMQ's definitions file, for `rabbitmqctl import_definitions` or the broker's boot.
///
/// Importing creates what is missing but changes no queue that exists; use `apply` for that. The file holds password
/// hashes: treat it as a secret.
package struct Definitions: Sendable {
    /// JSON, with keys in order so that two exports can be compared, save for the salts of the hashes.
    package let json: String
    /// Roles that are left out because no password was given: a user without one would lock out the user that exists.
    package let omittedRoles: [String]

    /// Exports the topology for a broker of this version.
    package init(
        _ document: TopologyDocument, version: BrokerVersion, virtualHost: String,
        passwords: RolePasswords = RolePasswords()
    ) throws(TopologyError) {
        let state = document.desiredState(for: version, passwords: passwords.byRole)
        let findings = StaticCheck(state, version: version).findings()
        guard !findings.hasErrors else {
            throw TopologyError(
                .invalidDocument,
                "the topology file would lose messages:\n" + findings.map(\.description).joined(separator: "\n"))
        }
        omittedRoles = document.roles.keys.filter { passwords.byRole[$0] == nil }.sorted()
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            json = String(decoding: try encoder.encode(DefinitionsFile(state, virtualHost: virtualHost)), as: UTF8.self)
        } catch {
            throw TopologyError(.invalidDocument, "the topology cannot be written as JSON: \(error)")
        }
    }
}

private struct DefinitionsFile: Encodable {
    struct VirtualHost: Encodable { let name: String }
    let vhosts: [VirtualHost]
    let users: [UserEntry]
    let permissions: [PermissionEntry]
    let policies: [PolicyEntry]
    let exchanges: [ExchangeEntry]
    let queues: [QueueEntry]
    let bindings: [BindingEntry]

    init(_ state: BrokerState, virtualHost: String) {
        vhosts = [VirtualHost(name: virtualHost)]
        let known = state.users.filter { $0.value.passwordHash != nil }.sorted { $0.key < $1.key }
        users = known.map { UserEntry(name: $0.key, $0.value) }
        permissions = known.compactMap { user, _ in
            state.permissions[user].map { PermissionEntry(user: user, vhost: virtualHost, $0) }
        }
        policies = state.policies.sorted { $0.key < $1.key }.map {
            PolicyEntry(vhost: virtualHost, name: $0.key, $0.value)
        }
        exchanges = state.exchanges.sorted { $0.key < $1.key }.map {
            ExchangeEntry(vhost: virtualHost, name: $0.key, $0.value)
        }
        queues = state.queues.sorted { $0.key < $1.key }.map { QueueEntry(vhost: virtualHost, name: $0.key, $0.value) }
        bindings = state.bindings.sorted().map { BindingEntry(vhost: virtualHost, $0) }
    }
}
