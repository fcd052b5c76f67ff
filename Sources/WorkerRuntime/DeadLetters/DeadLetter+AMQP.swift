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

        var kept = properties
        // Of the trip that ended here; `stamp` has them.
        for name in [HeaderName.replayCampaign, HeaderName.replayEpoch] { kept.headers[name] = nil }
        let json = (try? kept.json()) ?? (properties: "{}", headers: "{}")
        // Two copies of one message may die after different numbers of attempts; it is one death until a replay.
        self.init(
            id: id, deathKey: "\(queue)/\(messageID)/\(replayCount)", queue: queue.withoutNUL, messageID: messageID,
            type: (envelope?.type.rawValue ?? properties.type ?? "unknown").withoutNUL,
            exchange: isUnrouted ? delivery.exchange.withoutNUL : "",
            routingKey: isUnrouted ? delivery.routingKey.withoutNUL : queue.withoutNUL,
            correlationID: properties.correlationID?.withoutNUL, propertiesJSON: json.properties,
            headersJSON: json.headers, body: delivery.body, reason: reason.withoutNUL,
            errorCode: isUnrouted ? nil : headers[HeaderName.deathCode]?.string?.withoutNUL,
            errorText: isUnrouted
                ? nil : headers[HeaderName.deathDetail]?.string?.withoutNUL.cappedUTF8(to: Self.maxErrorBytes),
            attempts: envelope?.attempts.map(\.withoutNUL) ?? [], attemptCount: attemptCount,
            replayCount: replayCount, diedAt: now)
        stamp = try? ReplayStamp(headers)
        let origin = Self.origin(of: delivery, death: death, isUnrouted: isUnrouted)
        originalExchange = origin?.exchange.withoutNUL
        originalRoutingKey = origin?.routingKey.withoutNUL
        handler = (isUnrouted ? nil : headers[HeaderName.deathHandler]?.string?.withoutNUL) ?? "broker/\(self.queue)"
        build = isUnrouted ? nil : headers[HeaderName.deathBuild]?.string?.withoutNUL
        takeFingerprint()
    }

    /// Longer error texts are cut; handlers' own are shorter.
    static let maxErrorBytes = 2_000

    /// Where the message was published first, by our own headers, or by what the broker says of its first hop.
    private static func origin(
        of delivery: Delivery, death: FieldTable?, isUnrouted: Bool
    ) -> (exchange: String, routingKey: String)? {
        let headers = delivery.properties.headers
        if let exchange = headers[HeaderName.originExchange]?.string, let key = headers[HeaderName.originKey]?.string {
            return (exchange, key)
        }
        if isUnrouted { return (delivery.exchange, delivery.routingKey) }
        guard let exchange = death?["exchange"]?.string, let key = death?["routing-keys"]?.array?.first?.string else {
            return nil
        }
        return (exchange, key)
    }

    /// The properties and headers as they came, the broker's included.
    ///
    /// - Throws: `DecodingError` if they cannot be read.
    package func originalProperties() throws -> BasicProperties {
        try BasicProperties(properties: propertiesJSON, headers: headersJSON)
    }

    /// The message as it is published again: the same ids and history, attempts to spend anew, and the body with its patch.
    ///
    /// - Parameters:
    ///   - number: which replay of the message it is, from 1.
    ///   - stamp: lets a recall reach it.
    ///   - queue: another work queue than the one it died in.
    /// - Throws: `DecodingError` if the stored properties cannot be read; `JSONPatch.Failure`.
    package func replay(number: Int, stamp: ReplayStamp, to queue: String? = nil) throws -> Publication {
        var (properties, body) = try revived()
        properties.headers[HeaderName.replays] = .int64(Int64(number))
        stamp.write(to: &properties.headers)
        return Publication(
            exchange: queue == nil ? exchange : Exchange.default.rawValue, routingKey: queue ?? routingKey,
            properties: properties, body: body)
    }

    /// The message as a handler would get it: its patch applied, its attempts to be spent anew, replayed once
    /// more, and no trace of its death.
    ///
    /// - Throws: `DecodingError` if the stored properties cannot be read; `JSONPatch.Failure`.
    package func revived() throws -> (properties: BasicProperties, body: [UInt8]) {
        var properties = try originalProperties().republishable
        for name in [
            HeaderName.deathReason, HeaderName.deathCode, HeaderName.deathDetail, HeaderName.deathHandler,
            HeaderName.deathBuild,
        ] {
            properties.headers[name] = nil
        }
        properties.headers[HeaderName.attempt] = 0
        properties.headers[HeaderName.replays] = .int64(Int64(replayCount + 1))
        return (properties, try effectiveBody())
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
