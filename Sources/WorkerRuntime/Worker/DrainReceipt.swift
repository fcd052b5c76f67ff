/// What a worker did from the request to stop until it stopped.
package struct DrainReceipt: Hashable, Sendable {
    /// Deliveries taken and not settled when the request came.
    package var inHand = 0
    /// Of those, and of what the broker had sent before it heard: settled as ever.
    package var finished = 0
    /// Given back: to the queue, or to the shortest tier without spending an attempt.
    package var released = 0
    /// Left unsettled at the deadline; the broker takes them back when the connection closes.
    package var left = 0
    package var elapsed: Duration = .zero

    package init() {}
}
