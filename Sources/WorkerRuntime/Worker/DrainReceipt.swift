/// What a worker did from the request to stop until it stopped.
package struct DrainReceipt: Hashable, Sendable, Encodable {
    package var worker: String
    package var role: String
    /// Deliveries unsettled when the request came, and those that the broker had sent before it heard.
    package var inHand = 0
    /// Of those: settled as ever.
    package var finished = 0
    /// Moved to the shortest tier unchanged. The broker counts a message anew there, so this costs nothing but the wait.
    package var postponed = 0
    /// Given back to the queue, because it could not be moved.
    package var returned = 0
    /// Unsettled at the deadline; the broker takes them back when the connection closes.
    package var left = 0
    /// Deliveries that the broker counts although nothing came of them; the queues' delivery limit is spent by these.
    package var deliveryCountsBurned = 0
    package var milliseconds = 0

    package init(worker: String, role: String) {
        self.worker = worker
        self.role = role
    }

    private enum CodingKeys: String, CodingKey {
        case worker, role, inHand, finished, postponed, returned, left, deliveryCountsBurned
        case milliseconds = "ms"
    }
}
