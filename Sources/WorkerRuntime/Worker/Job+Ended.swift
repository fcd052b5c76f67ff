import AMQP
import Messaging
import Metrics
import Traces

extension Job {
    /// Ends its span, and counts what it cost if it did not succeed.
    func ended(_ settlement: Settlement) {
        let queue = delivery.queue
        switch settlement {
        case .acknowledge: span.end(["neff.settlement": "acknowledge"])
        case .postpone: span.end(["neff.settlement": "postpone"])
        case .release: span.end(["neff.settlement": "release"])
        case .retry(let tier, let failure):
            span.end(failure: failure.code, ["neff.settlement": "retry", "neff.retry.tier": .text(tier.name)])
            Counter(
                label: "worker.retries", dimensions: [("queue", queue), ("tier", tier.name), ("code", failure.code)]
            ).increment()
        case .deadLetter(let reason, let failure):
            span.end(failure: failure.code, ["neff.settlement": "dead_letter"])
            Counter(
                label: "worker.dead_letters",
                dimensions: [("queue", queue), ("reason", reason.rawValue), ("code", failure.code)]
            ).increment()
        }
    }
}

extension Envelope {
    /// What the consumer's span says, by OpenTelemetry's names for messaging.
    func spanAttributes(of delivery: Delivery) -> [String: Span.Attribute] {
        [
            "messaging.system": "rabbitmq", "messaging.operation.type": "process",
            "messaging.destination.name": .text(delivery.queue), "neff.attempt": .number(attemptCount + 1),
        ].merging(spanAttributes) { _, new in new }
    }
}

/// The spans of one transaction: one in the trace of each message that shares it.
struct TransactionSpans: Sendable {
    private let spans: [Span]

    init(_ jobs: [Job]) {
        spans = jobs.map {
            Span.begin("transaction", parent: $0.span.context, ["neff.batch.size": .number(jobs.count)])
        }
    }

    func end(failure: String? = nil) {
        for span in spans { span.end(failure: failure) }
    }
}
