/// The difference between the wanted topology and a broker: what can be changed, and what stands in the way.
package struct Plan: Sendable, Hashable {
    /// Changes in a safe order: where a message may be sent exists before anything sends there.
    package private(set) var changes: [Change] = []
    /// What cannot be changed in place (errors, which block `apply`) and what should be known (warnings).
    package private(set) var findings: [Finding] = []

    /// Nothing to change and nothing in the way.
    package var isEmpty: Bool { changes.isEmpty && !findings.hasErrors }

    /// Compares. Pure.
    package init(wanted: BrokerState, survey: BrokerSurvey) {
        let found = survey.state
        if !survey.virtualHostExists { changes.append(.createVirtualHost(survey.virtualHost)) }
        compareExchanges(wanted, found)
        let order: [(Queue.Role) -> Bool] = [
            { $0 == .terminal }, { if case .tier = $0 { true } else { false } }, { $0 == .work },
        ]
        for isTurn in order {
            let names = wanted.queues.filter { $0.value.role.map(isTurn) == true }.keys.sorted()
            for name in names { comparePolicy(of: name, wanted, found) }
            for name in names { compareQueue(name, wanted, found) }
            for binding in wanted.bindings.sorted()
            where names.contains(binding.destination) && !found.bindings.contains(binding) {
                changes.append(.bind(binding))
            }
        }
        for name in wanted.policies.keys.sorted() where name.hasPrefix("exchange.") {
            put(name, wanted, found)
        }
        compareForeign(wanted, found)
        compareUsers(wanted, found)
        if !survey.unseen.isEmpty {
            findings.append(
                Finding(
                    .notSeen, "broker",
                    "it does not show its \(survey.unseen.sorted().joined(separator: ", ")) to this user, so they were "
                        + "not looked at",
                    remedy: "nothing, for daily use; only users with the tag administrator see them",
                    severity: .warning))
        }
        findings = findings.ranked
    }

    private mutating func compareExchanges(_ wanted: BrokerState, _ found: BrokerState) {
        for (name, exchange) in wanted.exchanges.sorted(by: { $0.key < $1.key }) {
            guard let present = found.exchanges[name] else {
                changes.append(.declareExchange(name, exchange))
                continue
            }
            guard present != exchange else { continue }
            findings.append(
                Finding(
                    .drift, "exchange \(name)",
                    "it is \(Self.describe(present)), wanted is \(Self.describe(exchange)); "
                        + "an exchange cannot be changed in place",
                    remedy: "stop the publishers, delete the exchange (its bindings go with it), then run apply"))
        }
    }

    private mutating func comparePolicy(of queue: String, _ wanted: BrokerState, _ found: BrokerState) {
        put("queue.\(queue)", wanted, found)
    }

    private mutating func put(_ name: String, _ wanted: BrokerState, _ found: BrokerState) {
        guard let policy = wanted.policies[name], found.policies[name] != policy else { return }
        changes.append(.putPolicy(name, policy, replacing: found.policies[name]))
    }

    private mutating func compareQueue(_ name: String, _ wanted: BrokerState, _ found: BrokerState) {
        guard let queue = wanted.queues[name] else { return }
        guard let present = found.queues[name] else {
            changes.append(.declareQueue(name, queue))
            return
        }
        var differences: [String] = []
        if present.isDurable != queue.isDurable { differences.append("durable is \(present.isDurable)") }
        if present.isAutoDelete != queue.isAutoDelete { differences.append("auto-delete is \(present.isAutoDelete)") }
        for key in Set(present.arguments.keys).union(queue.arguments.keys).sorted()
        where present.arguments[key] != queue.arguments[key] {
            let wanted = queue.arguments[key].map { "wanted \($0)" } ?? "not wanted"
            differences.append("\(key) is \(present.arguments[key]?.description ?? "missing"), \(wanted)")
        }
        guard !differences.isEmpty else { return }
        findings.append(
            Finding(
                .drift, "queue \(name)",
                "\(differences.joined(separator: "; ")). Arguments cannot be changed in place, and importing "
                    + "definitions over the queue changes nothing",
                remedy: "stop what publishes to it, let its consumers drain it (or move its messages with a shovel), "
                    + "delete the queue, run apply, start again"))
    }

    /// What is there but not in the file. Bindings between our own exchanges and queues are removed, because they change
    /// where messages go; anything else is only reported.
    private mutating func compareForeign(_ wanted: BrokerState, _ found: BrokerState) {
        for binding in found.bindings.subtracting(wanted.bindings).sorted() {
            if wanted.exchanges[binding.source] != nil, binding.kind == .queue,
                wanted.queues[binding.destination] != nil
            {
                changes.append(.unbind(binding))
            } else if wanted.exchanges[binding.source] != nil || wanted.queues[binding.destination] != nil {
                foreign("binding \(binding.summary)", "it is not in the topology file", "remove it if nobody needs it")
            }
        }
        for name in found.queues.keys.sorted() where wanted.queues[name] == nil {
            foreign(
                "queue \(name)", "it is not in the topology file",
                "if it is left from an earlier version: let it run empty, then delete it")
        }
        for name in found.exchanges.keys.sorted() where wanted.exchanges[name] == nil {
            foreign("exchange \(name)", "it is not in the topology file", "delete it if nobody publishes to it")
        }
        let index = PolicyIndex(found)
        for (name, policy) in found.policies.sorted(by: { $0.key < $1.key }) where wanted.policies[name] == nil {
            let queues = wanted.queues.keys.filter { queue in
                index.policies(matchingQueue: queue).contains { $0.name == name }
            }
            if queues.isEmpty {
                foreign("policy \(name)", "it is not in the topology file", "delete it if nobody needs it")
            } else {
                findings.append(
                    Finding(
                        .overridden, "policy \(name)",
                        "it is not in the topology file and competes (priority \(policy.priority)) for "
                            + queues.sorted().joined(separator: ", ")
                            + "; policies do not merge, so the whole of one or the other is lost",
                        remedy: "rabbitmqctl clear_policy \(name)", severity: .warning))
            }
        }
    }

    private mutating func foreign(_ subject: String, _ problem: String, _ remedy: String) {
        findings.append(Finding(.foreign, subject, problem, remedy: remedy, severity: .warning))
    }

    /// Users are made only when a password was given for them: a deployment may use fewer users than roles.
    private mutating func compareUsers(_ wanted: BrokerState, _ found: BrokerState) {
        for (name, user) in wanted.users.sorted(by: { $0.key < $1.key }) {
            let present = found.users[name]
            if present == nil, user.passwordHash == nil {
                findings.append(
                    Finding(
                        .userMissing, "user \(name)", "it does not exist and no password was given for its role",
                        remedy: "give one (\(RolePasswords.variable(ofUser: name)) or a password file) and run apply",
                        severity: .warning))
                continue
            }
            var next = user
            // A hash with another salt is no difference; the caller has put the present hash in if the password matches.
            next.passwordHash = user.passwordHash ?? present?.passwordHash
            if present != next { changes.append(.putUser(name, next, replacing: present)) }
            if let permission = wanted.permissions[name], found.permissions[name] != permission {
                changes.append(.permit(user: name, permission, replacing: found.permissions[name]))
            }
        }
    }

    private static func describe(_ exchange: Exchange) -> String {
        var parts = [exchange.type, exchange.isDurable ? "durable" : "transient"]
        if exchange.isAutoDelete { parts.append("auto-delete") }
        if exchange.isInternal { parts.append("internal") }
        if !exchange.arguments.isEmpty { parts.append(ArgumentValue.table(exchange.arguments).description) }
        return parts.joined(separator: " ")
    }
}

extension Plan: CustomStringConvertible {
    package var description: String {
        var lines = changes.map(\.description)
        if changes.isEmpty, !findings.hasErrors { lines.append("nothing to change") }
        lines += findings.map(\.description)
        return lines.joined(separator: "\n")
    }
}
