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
