import Synchronization

/// Whom a message leads to: the consumers, by their names in the inbox, of the queues that its routing key reaches.
///
/// Asked for every message, and the answers are few, so they are kept.
package final class LedgerRoutes: Sendable {
    private struct Key: Hashable {
        let exchange: String
        let routingKey: String
    }

    /// The consumer of what no binding takes.
    package static let unrouted = "unrouted"
    /// Routing keys come from outside (a vendor's event names), so what is kept is bounded.
    private static let limit = 4_096

    private let queues: @Sendable (_ exchange: String, _ routingKey: String) -> [String]
    private let known = Mutex<[Key: [String]]>([:])

    /// - Parameter queues: the work queues that a routing key of an exchange reaches.
    package init(queues: @escaping @Sendable (_ exchange: String, _ routingKey: String) -> [String]) {
        self.queues = queues
    }

    /// Whom a message leads to; never empty.
    package func consumers(_ exchange: String, _ routingKey: String) -> [String] {
        let key = Key(exchange: exchange, routingKey: routingKey)
        if let consumers = known.withLock({ $0[key] }) { return consumers }
        var consumers = Array(Set(queues(exchange, routingKey).map(Self.consumer(ofQueue:)))).sorted()
        if consumers.isEmpty { consumers = [Self.unrouted] }
        known.withLock { known in if known.count < Self.limit { known[key] = consumers } }
        return consumers
    }

    /// The consumer of a queue, of its twins, its tiers and its dead letters: the first word of all their names.
    package static func consumer(ofQueue queue: String) -> String {
        String(queue.prefix { $0 != "." })
    }
}
