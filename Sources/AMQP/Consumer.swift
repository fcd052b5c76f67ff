package import Logging
import ServiceLifecycle

/// Takes messages from queues over one connection that it keeps up.
package final class Consumer: Service, Sendable {
    package init(configuration: AMQPConfiguration, subscriptions: [Subscription], logger: Logger) {}

    package var state: ConnectionState { .connecting }

    package func run() async throws {}

    /// Up to `limit` deliveries, waiting for at least one; empty only when stopped or when the task is cancelled.
    package func nextBatch(upTo limit: Int) async -> [Delivery] { [] }

    /// Settles as done; returns at once.
    package func acknowledge(_ delivery: Delivery) {}

    /// Settles as not done; returns at once.
    package func reject(_ delivery: Delivery, requeue: Bool) {}

    /// Cancels all subscriptions; what is buffered can still be taken.
    package func stopTaking() async {}

    /// Flushes settlements and closes politely, in at most `limit`.
    package func close(within limit: Duration) async {}

    /// Returns once connected with every subscription in place. Throws the last error when `limit` has passed first.
    package func waitUntilConnected(within limit: Duration) async throws {}
}
