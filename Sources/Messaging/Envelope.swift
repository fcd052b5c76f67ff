package import Foundation

/// A message with everything that travels beside its body.
///
/// On the wire, `id`, `correlationID`, `type`, `timestamp` and the content type are AMQP properties; the rest are headers
/// (see `Envelope+AMQP.swift`). The body of an inbound webhook is the raw bytes as they were received.
package struct Envelope: Hashable, Sendable {
    /// Identity for deduplication: the same thing said again has the same id.
    package var id: String
    package var type: MessageType
    /// Common to everything that follows from one outside event.
    package var correlationID: String
    /// The id of the message whose handling made this one.
    package var causationID: String?
    /// When the message was made; whole seconds on the wire.
    package var timestamp: Date
    /// When the outside event that started all this reached us; the start of the critical time.
    package var receivedAt: Date
    package var contentType: String
    package var schemaVersion: Int
    /// W3C trace context: the span that sent the message.
    package var traceParent: String?
    /// How the signature of an inbound message was judged; nil for messages of our own.
    package var signature: SignatureMark?
    /// The failed attempts so far, oldest first, at most `maxAttemptsKept`.
    package var attempts: [Attempt]
    /// Attempts that were spent, including those no longer kept.
    package var attemptCount: Int
    /// How often an operator has replayed it.
    package var replayCount: Int
    package var body: [UInt8]

    /// How an inbound message was signed.
    package enum SignatureMark: String, Codable, Sendable {
        case valid
        /// The signature matched but its time lay outside the window: a hint, not a fact.
        case stale
    }

    /// One try that failed.
    package struct Attempt: Codable, Hashable, Sendable {
        package var at: Date
        package var worker: String
        /// A short class, such as `db.40001` or `smtp.451`.
        package var code: String
        /// Capped at 500 bytes.
        package var detail: String

        package init(at: Date, worker: String, code: String, detail: String) {
            self.at = at
            self.worker = worker
            self.code = code
            self.detail = detail.cappedUTF8(to: 500)
        }
    }

    /// More attempts than this are counted but not kept, so that a message cannot grow without limit.
    package static let maxAttemptsKept = 20

    package init(
        id: String, type: MessageType, correlationID: String? = nil, causationID: String? = nil, timestamp: Date,
        receivedAt: Date? = nil, contentType: String = "application/json", schemaVersion: Int = 1,
        traceParent: String? = nil, signature: SignatureMark? = nil, attempts: [Attempt] = [], attemptCount: Int = 0,
        replayCount: Int = 0, body: [UInt8]
    ) {
        self.id = id
        self.type = type
        self.correlationID = correlationID ?? id
        self.causationID = causationID
        self.timestamp = timestamp
        self.receivedAt = receivedAt ?? timestamp
        self.contentType = contentType
        self.schemaVersion = schemaVersion
        self.traceParent = traceParent
        self.signature = signature
        self.attempts = attempts
        self.attemptCount = attemptCount
        self.replayCount = replayCount
        self.body = body
    }

    /// The same message after one more failed try.
    package func adding(_ attempt: Attempt) -> Envelope {
        var envelope = self
        envelope.attemptCount += 1
        envelope.attempts.append(attempt)
        if envelope.attempts.count > Self.maxAttemptsKept {
            // The first failure often explains the rest, so it stays.
            envelope.attempts.remove(at: 1)
        }
        return envelope
    }
}

/// A message and where it goes.
package struct OutgoingMessage: Hashable, Sendable {
    package var exchange: Exchange
    package var routingKey: String
    package var envelope: Envelope

    /// - Parameter routingKey: nil takes the message's type.
    package init(exchange: Exchange, routingKey: String? = nil, envelope: Envelope) {
        self.exchange = exchange
        self.routingKey = routingKey ?? envelope.type.rawValue
        self.envelope = envelope
    }
}

extension String {
    /// The longest prefix of whole characters that takes at most `limit` bytes of UTF-8.
    package func cappedUTF8(to limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var end = startIndex
        var size = 0
        for index in indices {
            size += self[index].utf8.count
            if size > limit { break }
            end = self.index(after: index)
        }
        return String(self[..<end])
    }
}
