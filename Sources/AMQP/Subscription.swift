/// A queue to consume from.
package struct Subscription: Sendable, Hashable {
    /// How much of a queue is taken at present.
    package enum Intake: Sendable, Hashable {
        /// Up to the prefetch.
        case full
        /// One delivery at a time, whatever the prefetch: to try whether work succeeds.
        case single
        /// Nothing: there is no consumer.
        case none
    }

    package var queue: String
    /// How many deliveries of this queue may be unsettled at once, 1 to 2,000 (RabbitMQ's limit for quorum queues).
    package var prefetch: UInt16
    /// Consumers of the same queue with a higher priority are served first; 0 is the default.
    package var priority: Int32
    /// Whether its deliveries are handed out before all others that wait in this process.
    package var isUrgent: Bool

    package init(queue: String, prefetch: UInt16, priority: Int32 = 0, isUrgent: Bool = false) {
        self.queue = queue
        self.prefetch = prefetch
        self.priority = priority
        self.isUrgent = isUrgent
    }
}
