import AMQP
import Foundation
import Logging
import Messaging
import Traces

/// Stores a message for good before anybody is told that it was accepted: in the broker, or else in the spool.
///
/// While the spool is not empty, order between what was spooled and what is published past it is best effort; consumers
/// compare versions and identities, not arrival.
struct Intake: Sendable {
    /// What is stored, for the metric.
    enum Kind: String, CaseIterable {
        case webhook, command
    }

    let publish: @Sendable (OutgoingMessage) async throws(PublishError) -> Void
    /// Told of each message that the broker has confirmed, before its sender is.
    let note: @Sendable (OutgoingMessage) -> Void
    let spool: @Sendable (OutgoingMessage) async throws -> Void
    let metrics: IngressMetrics
    let logger: Logger

    /// Returns once the message is stored.
    ///
    /// A publish whose outcome is unknown is spooled under the same message id; if it was stored after all, the
    /// consumer's inbox absorbs the second copy.
    /// - Throws: `ProblemResponse` 503, with `Retry-After`, if it could be stored nowhere or the publisher's window is full.
    ///   A full window does not spill into the database: that would only move the overload.
    func store(_ message: OutgoingMessage, kind: Kind) async throws {
        let publishing = begin(message)
        do throws(PublishError) {
            try await publish(publishing.message)
            publishing.span.end()
            note(publishing.message)
        } catch {
            publishing.span.end(failure: "\(error)")
            try await store(message, kind: kind, after: error)
        }
    }

    /// Opens the span of a publish, and has the message carry it.
    func begin(_ message: OutgoingMessage) -> (message: OutgoingMessage, span: Span) {
        let span = Span.begin(
            "publish \(message.exchange.rawValue)", .producer, parent: message.envelope.trace,
            message.spanAttributes)
        var message = message
        message.envelope = message.envelope.sent(by: span.context)
        return (message, span)
    }

    /// Stores a message that could not be published, if it can be stored otherwise.
    func store(_ message: OutgoingMessage, kind: Kind, after error: PublishError) async throws {
        switch error.kind {
        case .overloaded:
            metrics.overloaded()
            throw ProblemResponse.overloaded
        case .invalid:
            // The spool's relay could not publish it either.
            logger.error("message cannot be published", metadata: Self.metadata(message, "\(error)"))
            throw ProblemResponse(.internalError)
        case .returned:
            logger.error("message was returned as unroutable", metadata: Self.metadata(message, "\(error)"))
        default:
            logger.notice("publish failed", metadata: Self.metadata(message, "\(error)"))
        }
        try await storeInSpool(message, kind: kind)
    }

    /// Stores it in the database alone.
    func storeInSpool(_ message: OutgoingMessage, kind: Kind) async throws {
        do {
            try await spool(message)
        } catch {
            metrics.unavailable()
            logger.error(
                "neither broker nor spool took the message",
                metadata: Self.metadata(message, "\(error)"))
            throw ProblemResponse.unavailable("Neither the broker nor the database could store the request.")
        }
        metrics.spooled(kind)
    }

    private static func metadata(_ message: OutgoingMessage, _ error: String) -> Logger.Metadata {
        [
            "message.id": "\(message.envelope.id)", "message.correlation_id": "\(message.envelope.correlationID)",
            "amqp.routing_key": "\(message.routingKey)", "error": "\(error)",
        ]
    }
}
