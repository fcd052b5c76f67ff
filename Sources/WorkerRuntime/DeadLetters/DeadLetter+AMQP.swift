package import AMQP
package import Domain
package import Foundation
package import Messaging
package import Persistence

extension DeadLetter {
    /// Reads a delivery of a dead-letter queue, or of `unrouted`; whatever it looks like, a letter comes of it.
    ///
    /// Our own dead letters say why they died. For those that the broker made, its `x-death` header is taken as a hint.
    package init(_ delivery: Delivery, id: DeadLetterID, now: Date) {
        let isUnrouted = !delivery.queue.hasSuffix(Self.queueSuffix)
        let queue = isUnrouted ? delivery.queue : String(delivery.queue.dropLast(Self.queueSuffix.count))
        let headers = delivery.properties.headers
        let envelope = try? Envelope(delivery, now: now)
        let properties = delivery.properties
        let messageID =
            properties.messageID?.withoutNUL ?? "sha256:" + MessageID.hex(MessageID.digest([delivery.bodyText]))
        let attemptCount = envelope?.attemptCount ?? 0
        let replayCount =
            envelope?.replayCount ?? headers[HeaderName.replays]?.integer.flatMap(Int.init(exactly:)) ?? 0
        let death = headers["x-death"]?.array?.first?.table
        let reason =
            isUnrouted
            ? "unrouted"
            : headers[HeaderName.deathReason]?.string ?? death?["reason"]?.string ?? "unknown"

        var kept = properties.republishable
        let ofThisTrip = [
            HeaderName.deathReason, HeaderName.deathCode, HeaderName.deathDetail, HeaderName.replayCampaign,
            HeaderName.replayEpoch,
        ]
        for name in ofThisTrip {
            kept.headers[name] = nil
        }
        let json = (try? kept.json()) ?? (properties: "{}", headers: "{}")
        self.init(
            id: id, deathKey: "\(queue)/\(messageID)/\(attemptCount)/\(replayCount)", queue: queue.withoutNUL,
            messageID: messageID, type: (envelope?.type.rawValue ?? properties.type ?? "unknown").withoutNUL,
            exchange: isUnrouted ? delivery.exchange.withoutNUL : "",
            routingKey: isUnrouted ? delivery.routingKey.withoutNUL : queue.withoutNUL,
            correlationID: properties.correlationID?.withoutNUL, propertiesJSON: json.properties,
            headersJSON: json.headers, body: delivery.body, reason: reason.withoutNUL,
            errorCode: isUnrouted ? nil : headers[HeaderName.deathCode]?.string?.withoutNUL,
            errorText: isUnrouted ? nil : headers[HeaderName.deathDetail]?.string?.withoutNUL,
            attempts: envelope?.attempts.map(\.withoutNUL) ?? [], attemptCount: attemptCount,
            replayCount: replayCount, diedAt: now)
        stamp = try? ReplayStamp(headers)
    }

    /// The message as it is published again: the same ids and history, attempts to spend anew, and the body with its patch.
    ///
    /// - Parameters:
    ///   - number: which replay of the message it is, from 1.
    ///   - stamp: lets a recall reach it.
    ///   - queue: another work queue than the one it died in.
    /// - Throws: `DecodingError` if the stored properties cannot be read; `JSONPatch.Failure`.
    package func replay(number: Int, stamp: ReplayStamp, to queue: String? = nil) throws -> Publication {
        var properties = try BasicProperties(properties: propertiesJSON, headers: headersJSON).republishable
        properties.headers[HeaderName.attempt] = 0
        properties.headers[HeaderName.replays] = .int64(Int64(number))
        stamp.write(to: &properties.headers)
        return try Publication(
            exchange: queue == nil ? exchange : Exchange.default.rawValue, routingKey: queue ?? routingKey,
            properties: properties, body: effectiveBody())
    }

    /// What the name of a work queue's dead-letter queue ends in.
    static let queueSuffix = ".dead"
}

extension Delivery {
    fileprivate var bodyText: String { MessageID.hex(body) }
}

extension Envelope.Attempt {
    fileprivate var withoutNUL: Envelope.Attempt {
        Envelope.Attempt(
            at: at, worker: worker.withoutNUL, code: code.withoutNUL, detail: detail.withoutNUL)
    }
}
