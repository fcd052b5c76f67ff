package import Traces

extension Envelope {
    /// The span that sent the message; nil if it carries none, or one that is not valid.
    package var trace: TraceContext? { TraceContext(traceParent: traceParent) }

    /// The same message, sent by another span; unchanged if there is none.
    package func sent(by context: TraceContext?) -> Envelope {
        guard let context else { return self }
        var envelope = self
        envelope.traceParent = context.traceParent
        return envelope
    }
}

extension OutgoingMessage {
    /// What a span says of a publish, by OpenTelemetry's names for messaging.
    package var spanAttributes: [String: Span.Attribute] {
        [
            "messaging.system": "rabbitmq", "messaging.operation.type": "send",
            "messaging.destination.name": .text(exchange.rawValue),
            "messaging.rabbitmq.destination.routing_key": .text(routingKey),
        ].merging(envelope.spanAttributes) { _, new in new }
    }
}

extension Envelope {
    /// What every span of the message says of it.
    package var spanAttributes: [String: Span.Attribute] {
        [
            "messaging.message.id": .text(id), "messaging.message.conversation_id": .text(correlationID),
            "neff.message.type": .text(type.rawValue),
        ]
    }
}
