package import Logging
import ServiceLifecycle

/// What a publish does when the window is full.
package enum WhenFull: Sendable {
    /// Waits for room, in order of arrival.
    case wait
    /// Throws `overloaded` at once.
    case fail
}

/// Publishes with confirms over one connection that it keeps up.
package final class Publisher: Service, Sendable {
    /// - Parameters:
    ///   - window: how many publishes may be unconfirmed at once, over all callers.
    ///   - confirmTimeout: how long a publish waits for its confirm before it throws.
    package init(
        configuration: AMQPConfiguration, window: Int = 1_000, confirmTimeout: Duration = .seconds(5), logger: Logger
    ) {}

    package var state: ConnectionState { .connecting }

    package func run() async throws {}

    package func publish(_ publication: Publication, whenFull: WhenFull = .wait) async throws(PublishError) {
        throw PublishError(.unavailable)
    }

    /// Returns once connected and not blocked. Throws the last error when `limit` has passed first.
    package func waitUntilConnected(within limit: Duration) async throws {}
}
