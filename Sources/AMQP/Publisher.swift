package import Logging
import OwnerThread
import ServiceLifecycle

/// What a publish does when the window is full.
package enum WhenFull: Sendable {
    /// Waits for room, in order of arrival.
    case wait
    /// Throws `overloaded` at once.
    case fail
}

/// Publishes with confirms over one connection that it keeps up.
///
/// A publish returns once the broker has taken responsibility for the message, and throws in every other case. Nothing is
/// sent twice by the publisher: what was under way when a connection broke is reported as `unknown`, and its sender, who
/// knows whether the message may travel twice, decides.
///
/// Publishes of one task that waits for each are sent in that order. There is no order among tasks.
package final class Publisher: Service, Sendable {
    private let engine: Engine<PublishRole>
    private let intake: Intake
    private let confirmTimeout: Duration
    private let closeTimeout: Duration

    /// - Parameters:
    ///   - window: how many publishes may be unconfirmed at once, over all callers.
    ///   - confirmTimeout: how long a publish that has its place in the window waits for its confirm.
    package init(
        configuration: AMQPConfiguration, window: Int = 1_000, confirmTimeout: Duration = .seconds(5), logger: Logger
    ) {
        precondition(window > 0, "a window of \(window) lets nothing through")
        let thread = OwnerThread(name: "amqp-publisher")
        intake = Intake(window: window, confirmTimeout: confirmTimeout, thread: thread)
        engine = Engine(
            configuration: configuration,
            role: PublishRole(intake: intake, window: window, connectionName: configuration.connectionName),
            state: StateBox(), thread: thread, logger: logger)
        self.confirmTimeout = confirmTimeout
        closeTimeout = configuration.rpcTimeout
    }

    /// Where the connection stands; cheap.
    package var state: ConnectionState { engine.state.state }

    /// How many publishes hold a place in the window now.
    package var inFlight: Int { intake.live }

    /// Connects and keeps connected, with pauses by `configuration.backoff` after failures.
    ///
    /// Returns after a graceful shutdown, which takes no new publishes, waits for the confirms of those under way (at most
    /// `confirmTimeout`) and closes politely; or, when the task is cancelled, at once. Runs once.
    package func run() async throws {
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await engine.run()
            } onGracefulShutdown: { [engine, confirmTimeout, closeTimeout] in
                engine.stop(drain: confirmTimeout, close: closeTimeout)
            }
        } onCancel: {
            engine.abort()
        }
    }

    /// Sends a message and waits until the broker has confirmed it.
    ///
    /// While there is no connection, or the broker blocks publishing, this throws `unavailable` at once. Cancelling the
    /// task ends the wait; a message that was sent by then stays sent.
    package func publish(_ publication: Publication, whenFull: WhenFull = .wait) async throws(PublishError) {
        if let objection = WireSize.objection(to: publication, frameMax: Link.frameMax) {
            throw PublishError(.invalid(reason: objection))
        }
        let ticket = Ticket(publication)
        intake.admit(ticket, whenFull: whenFull)
        let result = await withTaskCancellationHandler {
            await ticket.outcome.value()
        } onCancel: {
            if ticket.outcome.give(.failure(PublishError(.cancelled))) { intake.depart() }
        }
        try result.get()
    }

    /// Sends a message and has `completion` called once the broker has confirmed it or it has failed, for callers who have
    /// no task to wait in.
    ///
    /// - Parameter completion: called once, on the publisher's thread or, if it fails at once, on the caller's; it must not
    ///   block.
    package func publish(
        _ publication: Publication, whenFull: WhenFull = .wait,
        completion: @escaping @Sendable (Result<Void, PublishError>) -> Void
    ) {
        if let objection = WireSize.objection(to: publication, frameMax: Link.frameMax) {
            return completion(.failure(PublishError(.invalid(reason: objection))))
        }
        let ticket = Ticket(publication)
        ticket.outcome.whenGiven(completion)
        intake.admit(ticket, whenFull: whenFull)
    }

    /// Returns once publishes are taken. Throws the last error when `limit` has passed first, `closed` (or the error that
    /// ended it) if the publisher ends, or `CancellationError`.
    package func waitUntilConnected(within limit: Duration) async throws {
        try await engine.state.waitUntilConnected(within: limit, on: engine.thread)
    }
}
