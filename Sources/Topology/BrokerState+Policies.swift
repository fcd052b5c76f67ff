extension BrokerState {
    /// A policy and its name.
    typealias NamedPolicy = (name: String, policy: Policy)

    /// The one policy that counts for a queue: of all that match, the one with the highest priority.
    func effectivePolicy(ofQueue name: String) -> NamedPolicy? { policies(matchingQueue: name).first }

    /// The one policy that counts for an exchange.
    func effectivePolicy(ofExchange name: String) -> NamedPolicy? {
        matching(name, targets: ["exchanges", "all"]).first
    }

    /// Every policy that matches a queue, the one that counts first.
    func policies(matchingQueue name: String) -> [NamedPolicy] {
        let ofType =
            switch queues[name]?.type {
            case "quorum": "quorum_queues"
            case "stream": "streams"
            default: "classic_queues"
            }
        return matching(name, targets: ["queues", "all", ofType])
    }

    /// Every policy that matches an exchange, the one that counts first.
    func policies(matchingExchange name: String) -> [NamedPolicy] { matching(name, targets: ["exchanges", "all"]) }

    private func matching(_ name: String, targets: Set<String>) -> [NamedPolicy] {
        policies.filter { targets.contains($0.value.appliesTo) && Pattern($0.value.pattern)?.matches(name) == true }
            .map { ($0.key, $0.value) }
            .sorted { ($0.policy.priority, $1.name) > ($1.policy.priority, $0.name) }
    }

    /// What a queue really does, from its arguments and its policy.
    func settings(of queue: String) -> QueueSettings {
        QueueSettings(
            arguments: queues[queue]?.arguments ?? [:],
            policy: effectivePolicy(ofQueue: queue)?.policy.definition ?? [:])
    }
}

/// A regular expression of a policy or a permission, matched anywhere in the name.
struct Pattern {
    private let regex: Regex<AnyRegexOutput>

    /// Nil when the expression does not compile.
    init?(_ text: String) {
        guard let regex = try? Regex(text) else { return nil }
        self.regex = regex
    }

    func matches(_ name: String) -> Bool { name.contains(regex) }
}

/// What a queue does, whether an argument or a policy says so.
struct QueueSettings: Sendable, Hashable {
    let messageTTL: Int?
    let deliveryLimit: Int?
    let maxLength: Int?
    let maxLengthBytes: Int?
    let overflow: String?
    let deadLetterExchange: String?
    let deadLetterRoutingKey: String?
    let deadLetterStrategy: String?

    /// Arguments beat the policy, except that of two numbers the smaller one counts.
    init(arguments: Arguments, policy: Arguments) {
        func text(_ key: String) -> String? { arguments["x-\(key)"]?.string ?? policy[key]?.string }
        func number(_ key: String) -> Int? {
            [arguments["x-\(key)"]?.integer, policy[key]?.integer].compactMap(\.self).min()
        }
        messageTTL = number("message-ttl")
        deliveryLimit = number("delivery-limit")
        maxLength = number("max-length")
        maxLengthBytes = number("max-length-bytes")
        overflow = text("overflow")
        deadLetterExchange = text("dead-letter-exchange")
        deadLetterRoutingKey = text("dead-letter-routing-key")
        deadLetterStrategy = text("dead-letter-strategy")
    }
}
