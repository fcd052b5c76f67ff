/// What a broker makes of a queue argument or of a policy's key.
enum SettingSupport: Sendable, Hashable {
    case honoured
    /// Accepted without a word and without effect.
    case ignored
    /// The declaration fails with 406, or the policy with 400.
    case refused

    /// Looks an argument up (with its `x-`).
    ///
    /// Sources: observed with RabbitMQ 3.10.8; rabbitmq.com, "Quorum Queues" and release notes, for later versions.
    static func argument(_ key: String, queueType: String, version: BrokerVersion) -> SettingSupport {
        guard key.hasPrefix("x-") else { return .ignored }
        return setting(String(key.dropFirst(2)), queueType: queueType, version: version)
    }

    /// Looks a policy's key up. Unlike arguments, a key that no broker component knows is refused.
    static func policyKey(_ key: String, queueType: String, version: BrokerVersion) -> SettingSupport {
        setting(key, queueType: queueType, version: version)
    }

    private static func setting(_ key: String, queueType: String, version: BrokerVersion) -> SettingSupport {
        if common.contains(key) { return .honoured }
        if let first = introduced[key] { return version >= first && queueType == "quorum" ? .honoured : .ignored }
        switch queueType {
        case "quorum":
            if quorumOnly.contains(key) { return .honoured }
            if key == "max-priority" || key == "queue-mode" { return .refused }
        case "classic":
            if key == "max-priority" || key == "queue-mode" { return .honoured }
            if quorumOnly.contains(key) { return .refused }
        default:
            break
        }
        return .ignored
    }

    private static let common: Set<String> = [
        "queue-type", "expires", "message-ttl", "max-length", "max-length-bytes", "overflow", "dead-letter-exchange",
        "dead-letter-routing-key", "single-active-consumer", "queue-leader-locator",
    ]

    private static let quorumOnly: Set<String> = [
        "delivery-limit", "dead-letter-strategy", "quorum-initial-group-size", "max-in-memory-length",
        "max-in-memory-bytes",
    ]

    private static let introduced: [String: BrokerVersion] = [
        "consumer-timeout": BrokerVersion(3, 12),
        "quorum-target-group-size": BrokerVersion(3, 13),
        "target-group-size": BrokerVersion(3, 13),
        "delayed-retry-type": BrokerVersion(4, 3),
        "delayed-retry-min": BrokerVersion(4, 3),
        "delayed-retry-max": BrokerVersion(4, 3),
    ]
}
