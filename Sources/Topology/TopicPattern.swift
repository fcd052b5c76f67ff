/// A topic exchange's binding key: words between dots, `*` for one word, `#` for any number of words.
struct TopicPattern: Sendable, Hashable {
    private let words: [Substring]

    init(_ text: String) {
        words = text.split(separator: ".", omittingEmptySubsequences: false)
    }

    /// Whether a message with this routing key takes the binding (AMQP 0-9-1, section 3.1.3.3).
    func matches(_ routingKey: String) -> Bool {
        Self.matches(words[...], routingKey.split(separator: ".", omittingEmptySubsequences: false)[...])
    }

    private static func matches(_ pattern: ArraySlice<Substring>, _ key: ArraySlice<Substring>) -> Bool {
        guard let first = pattern.first else { return key.isEmpty }
        let rest = pattern.dropFirst()
        if first == "#" {
            return matches(rest, key) || (!key.isEmpty && matches(pattern, key.dropFirst()))
        }
        guard let word = key.first, first == "*" || first == word else { return false }
        return matches(rest, key.dropFirst())
    }
}
