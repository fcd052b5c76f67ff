/// Which policies match which queues and exchanges, worked out once for a state.
struct PolicyIndex {
    /// A policy and its name.
    typealias NamedPolicy = (name: String, policy: Policy)

    private let state: BrokerState
    private var exact: [String: [NamedPolicy]] = [:]
    private var expressions: [(Regex<AnyRegexOutput>, NamedPolicy)] = []

    /// Patterns that do not compile match nothing.
    init(_ state: BrokerState) {
        self.state = state
        for (name, policy) in state.policies {
            switch Pattern(policy.pattern) {
            case .exactly(let target): exact[target, default: []].append((name, policy))
            case .expression(let regex): expressions.append((regex, (name, policy)))
            case nil: continue
            }
        }
    }

    /// Every policy that matches a queue, the one that counts first: policies do not merge.
    func policies(matchingQueue name: String) -> [NamedPolicy] {
        let ofType =
            switch state.queues[name]?.type {
            case "quorum": "quorum_queues"
            case "stream": "streams"
            default: "classic_queues"
            }
        return matching(name, targets: ["queues", "all", ofType])
    }

    /// Every policy that matches an exchange, the one that counts first.
    func policies(matchingExchange name: String) -> [NamedPolicy] { matching(name, targets: ["exchanges", "all"]) }

    /// What a queue really does, from its arguments and its policy.
    func settings(of queue: String) -> QueueSettings {
        QueueSettings(
            arguments: state.queues[queue]?.arguments ?? [:],
            policy: policies(matchingQueue: queue).first?.policy.definition ?? [:])
    }

    private func matching(_ name: String, targets: Set<String>) -> [NamedPolicy] {
        let candidates = (exact[name] ?? []) + expressions.filter { name.contains($0.0) }.map(\.1)
        return candidates.filter { targets.contains($0.policy.appliesTo) }
            .sorted { ($0.policy.priority, $1.name) > ($1.policy.priority, $0.name) }
    }
}
