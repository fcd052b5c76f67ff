/// A step of the retry ladder of one work queue.
package struct RetryTier: Sendable, Hashable {
    /// A queue that holds a message for a fixed time.
    package struct Sibling: Sendable, Hashable {
        /// The queue's name, which is also its routing key on the retry exchange.
        package let queue: String
        /// How long it holds a message, at least; lateness under load is well below a second.
        package let delay: Duration
    }

    /// The name in the topology file, such as `30s`.
    package let name: String
    /// The queues of the tier, the shortest delay first; never empty. Choosing one at random gives the jitter.
    package let siblings: [Sibling]

    /// The delay in the middle, by which tiers are ordered.
    package var nominalDelay: Duration { siblings[siblings.count / 2].delay }
}
