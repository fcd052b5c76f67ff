/// How a worker takes and handles messages.
package struct WorkerConfiguration: Sendable {
    /// The consumer in the inbox, such as `sync`; every process of one role shares it.
    package var role: String
    /// This process among all, for histories and the table `workers`.
    package var id: String
    /// Shown in the table `workers`.
    package var version: String
    /// Transactions (or effects) at once.
    package var concurrency: Int
    /// The most messages in one transaction; 1 gives each its own. Effect handlers always get one at a time.
    package var batchSize: Int
    /// For one message. The handler is cancelled then; it is waited for, so it must let itself be cancelled.
    package var handlerTimeout: Duration
    /// From the request to stop until `run` returns, whatever is still in hand then.
    package var drainDeadline: Duration
    /// Between two reports to the table `workers`.
    package var heartbeatInterval: Duration
    package var retryPolicy: RetryPolicy
    /// For queues that have other tiers than the rest; a tier that a queue has not got cannot be published to.
    package var retryPolicies: [String: RetryPolicy] = [:]

    package init(
        role: String, id: String, version: String = "dev", concurrency: Int = 8, batchSize: Int = 16,
        handlerTimeout: Duration = .seconds(30), drainDeadline: Duration = .seconds(20),
        heartbeatInterval: Duration = .seconds(5), retryPolicy: RetryPolicy = RetryPolicy()
    ) {
        precondition(concurrency > 0 && batchSize > 0, "a worker has a lane, and a lane takes a message")
        self.role = role
        self.id = id
        self.version = version
        self.concurrency = concurrency
        self.batchSize = batchSize
        self.handlerTimeout = handlerTimeout
        self.drainDeadline = drainDeadline
        self.heartbeatInterval = heartbeatInterval
        self.retryPolicy = retryPolicy
    }

    func retryPolicy(for queue: String) -> RetryPolicy { retryPolicies[queue] ?? retryPolicy }

    /// When the drain stops waiting and cancels what is still in hand: a quarter of the deadline before its end, at most
    /// three seconds, so that cancelled work can be given back in time.
    var cancelAfter: Duration { drainDeadline - min(drainDeadline / 4, .seconds(3)) }
}
