package import AMQP
import Foundation
import Logging
import Messaging
import Traces

/// A delivery in the hand of the worker.
struct Job: Sendable {
    let delivery: Delivery
    let envelope: Envelope
    let takenAt: ContinuousClock.Instant
    /// From the taking to the settlement.
    let span: Span

    init(delivery: Delivery, envelope: Envelope, takenAt: ContinuousClock.Instant) {
        self.delivery = delivery
        self.envelope = envelope
        self.takenAt = takenAt
        span = Span.begin(
            "process \(delivery.queue)", .consumer, parent: envelope.trace, envelope.spanAttributes(of: delivery))
    }

    var history: DeliveryHistory { DeliveryHistory(delivery) }
}

extension DeliveryHistory {
    /// What the broker says about earlier deliveries.
    package init(_ delivery: Delivery) {
        self.init(
            isRedelivered: delivery.isRedelivered,
            returns: delivery.properties.headers["x-delivery-count"]?.integer.flatMap(Int.init(exactly:)) ?? 0)
    }
}

/// Keys of log metadata.
enum LogKey {
    static let messageID = "message.id"
    static let messageType = "message.type"
    static let correlationID = "message.correlation_id"
    static let queue = "amqp.queue"
    static let attempt = "job.attempt"
    static let settlement = "job.settlement"
    static let errorCode = "error.code"
    static let errorDetail = "error.detail"
    static let worker = "worker.id"
    static let count = "count"
}
