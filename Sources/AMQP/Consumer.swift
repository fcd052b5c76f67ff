package import Logging
import OwnerThread
import ServiceLifecycle

/// Takes messages from queues over one connection that it keeps up.
///
/// Deliveries come at least once: what was not settled when a connection broke comes again, marked as redelivered. The
/// prefetch of the subscriptions bounds what is in memory.
package final class Consumer: Service, Sendable {
    private let engine: Engine<ConsumeRole>
    private let inbox: Inbox
    private let drainTimeout: Duration
    private let closeTimeout: Duration

    /// - Parameter drainTimeout: how long a graceful shutdown waits for the settlement of what was delivered.
    package init(
        configuration: AMQPConfiguration, subscriptions: [Subscription], drainTimeout: Duration = .seconds(30),
        logger: Logger
    ) {
        precondition(
            subscriptions.allSatisfy { (1...2_000).contains($0.prefetch) && (1...255).contains($0.queue.utf8.count) },
            "a subscription needs a queue name of 1 to 255 bytes and a prefetch of 1 to 2000")
        let thread = OwnerThread(name: "amqp-consumer")
        inbox = Inbox(thread: thread, urgentQueues: Set(subscriptions.filter(\.isUrgent).map(\.queue)))
        engine = Engine(
            configuration: configuration,
            role: ConsumeRole(
                inbox: inbox, subscriptions: subscriptions, backoff: configuration.backoff,
                connectionName: configuration.connectionName, logger: logger),
            state: StateBox(), thread: thread, logger: logger)
        self.drainTimeout = drainTimeout
        closeTimeout = configuration.rpcTimeout
    }

    /// Where the connection stands; cheap. `degraded` while a queue is missing.
    package var state: ConnectionState { engine.state.state }

    /// Connects, subscribes, and keeps it so, with pauses by `configuration.backoff` after failures.
    ///
    /// A graceful shutdown stops taking, waits at most `drainTimeout` until all that was delivered is settled, and closes
    /// politely. When the task is cancelled this returns at once, and the broker takes everything unsettled back. Runs
    /// once.
    package func run() async throws {
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await engine.run()
            } onGracefulShutdown: { [engine, drainTimeout, closeTimeout] in
                // Unstructured, because the handler cannot wait; it ends with the engine at the latest.
                Task {
                    await engine.stopTaking()
                    engine.stop(drain: drainTimeout, close: closeTimeout)
                }
            }
        } onCancel: {
            engine.abort()
        }
    }

    /// Up to `limit` deliveries, waiting for at least one.
    ///
    /// Empty only when nothing more will come (after `stopTaking`, with the buffer drained, or after the end) or when the
    /// task is cancelled. Any number of tasks may wait; they are served in turn.
    package func nextBatch(upTo limit: Int) async -> [Delivery] {
        await inbox.take(limit)
    }

    /// Takes what is urgent and there already, for somebody who has taken other deliveries and not begun them all.
    ///
    /// - Returns: at once; none if nothing urgent waits.
    package func urgentBatch(upTo limit: Int) -> [Delivery] {
        inbox.takeUrgent(limit)
    }

    /// Settles as done. Returns at once; one turn of the loop tells the broker of all that were settled before it.
    ///
    /// A second settlement of the same delivery, and one of an earlier connection, have no effect.
    package func acknowledge(_ delivery: Delivery) {
        inbox.settle(delivery, .acknowledge)
    }

    /// Settles as not done: back to the queue, or to where the queue sends its dead letters.
    package func reject(_ delivery: Delivery, requeue: Bool) {
        inbox.settle(delivery, requeue ? .requeue : .reject)
    }

    /// Says how much to take of each queue from now on, over reconnects too; of queues that are not named, everything.
    ///
    /// Returns when the broker has confirmed it; without a connection, at once. Deliveries that have come stay to be taken
    /// and settled. May be called before `run`, so that nothing of a queue is taken at all.
    package func setIntake(_ intake: [String: Subscription.Intake]) async {
        await engine.setIntake(intake)
    }

    /// Cancels all subscriptions; returns when the broker has confirmed it. What is buffered can still be taken.
    package func stopTaking() async {
        await engine.stopTaking()
    }

    /// Tells the broker of all settlements so far and closes politely, in at most `limit` after requests under way.
    ///
    /// What is unsettled goes back to its queue. `run()` returns.
    package func close(within limit: Duration) async {
        engine.stop(drain: .zero, close: limit)
        await engine.untilFinished()
    }

    /// Returns once connected with every subscription in place. Throws the last error when `limit` has passed first,
    /// `closed` (or the error that ended it) if the consumer ends, or `CancellationError`.
    package func waitUntilConnected(within limit: Duration) async throws {
        try await engine.state.waitUntilConnected(within: limit, on: engine.thread)
    }
}
