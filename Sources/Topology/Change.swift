/// One step towards the wanted topology.
package enum Change: Sendable, Hashable {
    case createVirtualHost(String)
    case declareExchange(String, Exchange)
    case declareQueue(String, Queue)
    /// `replacing` is nil for a new policy.
    case putPolicy(String, Policy, replacing: Policy?)
    case bind(Binding)
    case unbind(Binding)
    /// Creates a user, or changes its tags or password.
    case putUser(String, User, replacing: User?)
    case permit(user: String, Permission, replacing: Permission?)
}

extension Change: CustomStringConvertible {
    /// One line: `+` for new, `~` for changed, `-` for removed.
    package var description: String {
        switch self {
        case .createVirtualHost(let name): "+ virtual host \(name)"
        case .declareExchange(let name, let exchange): "+ exchange \(name) (\(exchange.type))"
        case .declareQueue(let name, let queue): "+ queue \(name) (\(queue.type))"
        case .putPolicy(let name, let policy, nil):
            "+ policy \(name): \(ArgumentValue.table(policy.definition))"
        case .putPolicy(let name, let policy, let old?): "~ policy \(name): \(Self.difference(old, policy))"
        case .bind(let binding): "+ binding \(binding.summary)"
        case .unbind(let binding): "- binding \(binding.summary)"
        case .putUser(let name, let user, nil): "+ user \(name)\(Self.tags(user))"
        case .putUser(let name, let user, let old?):
            "~ user \(name): " + (user.tags == old.tags ? "password" : "tags\(Self.tags(user))")
        case .permit(let user, let permission, let old):
            "\(old == nil ? "+" : "~") permission of \(user): configure \(permission.configure), "
                + "write \(permission.write), read \(permission.read)"
        }
    }

    private static func tags(_ user: User) -> String {
        user.tags.isEmpty ? "" : " [\(user.tags.sorted().joined(separator: ", "))]"
    }

    private static func difference(_ old: Policy, _ new: Policy) -> String {
        var parts: [String] = []
        func compare(_ name: String, _ old: String?, _ new: String?) {
            if old != new { parts.append("\(name) \(old ?? "unset") → \(new ?? "unset")") }
        }
        compare("pattern", old.pattern, new.pattern)
        compare("apply-to", old.appliesTo, new.appliesTo)
        compare("priority", "\(old.priority)", "\(new.priority)")
        for key in Set(old.definition.keys).union(new.definition.keys).sorted() {
            compare(key, old.definition[key]?.description, new.definition[key]?.description)
        }
        return parts.joined(separator: ", ")
    }
}

extension Binding {
    /// `events –job.*→ notification`.
    package var summary: String {
        let suffix = arguments.isEmpty ? "" : " \(ArgumentValue.table(arguments))"
        return "\(source) –\(routingKey)→ \(kind == .exchange ? "exchange " : "")\(destination)\(suffix)"
    }
}
