package import AMQP
import Domain
package import Foundation

/// The names of our own headers. Everything the broker adds starts with `x-`.
package enum HeaderName {
    package static let causationID = "causation-id"
    /// Attempts spent; a count.
    package static let attempt = "attempt"
    /// The failed attempts, oldest first: an array of tables with `at`, `worker`, `code` and `detail`.
    package static let attempts = "attempts"
    package static let schemaVersion = "schema-version"
    package static let traceParent = "traceparent"
    /// RFC 3339, UTC, milliseconds.
    package static let receivedAt = "received-at"
    package static let signature = "signature"
    package static let replays = "replays"
    /// Only on replayed messages: the campaign that sent it, and the campaign's epoch at that time.
    package static let replayCampaign = "replay-campaign"
    package static let replayEpoch = "replay-epoch"
    /// Only on dead letters: a `DeadLetterReason`, and for what did not decode the failure that has no attempt to be in.
    package static let deathReason = "death-reason"
    package static let deathCode = "death-code"
    package static let deathDetail = "death-detail"
    /// Only on dead letters: the role and queue that gave the message up, and the version of the worker.
    package static let deathHandler = "death-handler"
    package static let deathBuild = "death-build"
    /// Where the message was published first; from its first retry or death on.
    package static let originExchange = "origin-exchange"
    package static let originKey = "origin-key"
}

/// Why the properties and headers of a delivery make no envelope. `description` holds no content of the message.
package struct EnvelopeError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String
}

extension Envelope {
    /// What other tools see as the sending application.
    package static let appID = "neff"

    /// The end of the year 9999, past which neither RFC 3339 nor the database goes.
    private static let lastTimestamp: UInt64 = 253_402_300_799

    /// The properties and headers that carry the envelope; persistent, without any `x-` header.
    ///
    /// Instants are cut to what the wire holds: whole seconds for `timestamp`, milliseconds elsewhere.
    package var properties: BasicProperties {
        var headers: FieldTable = [
            HeaderName.attempt: .int64(Int64(attemptCount)),
            HeaderName.schemaVersion: .int64(Int64(schemaVersion)),
            HeaderName.receivedAt: .string(Instant.text(receivedAt)),
        ]
        headers[HeaderName.causationID] = causationID.map(FieldValue.string)
        headers[HeaderName.traceParent] = traceParent.map(FieldValue.string)
        headers[HeaderName.signature] = signature.map { .string($0.rawValue) }
        if replayCount > 0 { headers[HeaderName.replays] = .int64(Int64(replayCount)) }
        replay?.write(to: &headers)
        if !attempts.isEmpty { headers[HeaderName.attempts] = .array(attempts.map { .table($0.table) }) }
        return BasicProperties(
            contentType: contentType, headers: headers, isPersistent: true, correlationID: correlationID, messageID: id,
            timestamp: UInt64(min(max(0, timestamp.timeIntervalSince1970), Double(Self.lastTimestamp))),
            type: type.rawValue, appID: Self.appID)
    }

    /// Reads a delivery.
    ///
    /// A message of strangers is taken if it says who it is: it needs a `message_id`, and a `type` or the routing key of
    /// one of our topic exchanges. All else has defaults; unknown headers are passed over. One of our own headers with
    /// a value that makes no sense is an error, because guessing at it could try a message without end.
    /// - Parameter now: stands in for a missing timestamp, or one past the year 9999.
    package init(_ delivery: Delivery, now: Date) throws(EnvelopeError) {
        let isRoutedByType = [Exchange.inbound, .commands, .events].contains { $0.rawValue == delivery.exchange }
        try self.init(
            properties: delivery.properties, body: delivery.body,
            fallbackType: isRoutedByType ? delivery.routingKey : nil, now: now)
    }

    /// Reads an envelope from its parts.
    ///
    /// - Parameter fallbackType: the type of a message that names none.
    package init(
        properties: BasicProperties, body: [UInt8], fallbackType: String? = nil, now: Date
    ) throws(EnvelopeError) {
        let headers = properties.headers
        guard let id = properties.messageID, !id.isEmpty else {
            throw EnvelopeError(description: "there is no message_id, so a copy could not be told from the original")
        }
        guard let type = properties.type ?? fallbackType, !type.isEmpty else {
            throw EnvelopeError(description: "there is no type, so nobody knows what the body means")
        }
        // Some programs send milliseconds, which is no date of use: the message is judged by what it says, not by that.
        let timestamp = properties.timestamp.flatMap { seconds in
            seconds <= Self.lastTimestamp ? Date(timeIntervalSince1970: Double(seconds)) : nil
        }
        var attempts: [Attempt] = []
        if let value = headers[HeaderName.attempts] {
            guard let entries = value.array else { throw .malformed(HeaderName.attempts, "a list") }
            for entry in entries.prefix(Self.maxAttemptsKept) {
                guard let attempt = entry.table.flatMap(Attempt.init(table:)) else {
                    throw .malformed(HeaderName.attempts, "a list of attempts")
                }
                attempts.append(attempt)
            }
        }
        var signature: SignatureMark?
        if let value = headers[HeaderName.signature] {
            signature = value.string.flatMap(SignatureMark.init(rawValue:))
            // An unknown mark must never pass for a good one.
            if signature == nil { throw .malformed(HeaderName.signature, "a known mark") }
        }
        var receivedAt: Date?
        if let text = try headers.text(HeaderName.receivedAt) {
            receivedAt = Instant.parse(text)
            if receivedAt == nil { throw .malformed(HeaderName.receivedAt, "an RFC 3339 instant") }
        }
        self.init(
            id: id, type: MessageType(rawValue: type), correlationID: properties.correlationID,
            causationID: try headers.text(HeaderName.causationID), timestamp: timestamp ?? now, receivedAt: receivedAt,
            contentType: properties.contentType ?? "application/octet-stream",
            schemaVersion: try headers.count(HeaderName.schemaVersion) ?? 1,
            traceParent: try headers.text(HeaderName.traceParent), signature: signature, attempts: attempts,
            attemptCount: try headers.count(HeaderName.attempt) ?? attempts.count,
            replayCount: try headers.count(HeaderName.replays) ?? 0, replay: try ReplayStamp(headers), body: body)
    }
}

extension OutgoingMessage {
    /// Ready for a publisher: persistent and mandatory.
    package var publication: Publication {
        Publication(
            exchange: exchange.rawValue, routingKey: routingKey, properties: envelope.properties, body: envelope.body)
    }
}

extension BasicProperties {
    /// The same properties as they may be published again: without the broker's own headers, without what would make
    /// it expire or be refused, and persistent.
    ///
    /// RabbitMQ up to 3.13 believes an `x-death` that a client sends and drops the message as a dead-letter cycle.
    package var republishable: BasicProperties {
        var properties = self
        properties.headers = headers.filter { !$0.key.lowercased().hasPrefix("x-") }
        properties.isPersistent = true
        properties.expiration = nil
        properties.userID = nil
        return properties
    }
}

extension ReplayStamp {
    /// Reads the stamp of a message; nil if a replay campaign has never sent it.
    ///
    /// - Throws: `EnvelopeError` for half a stamp: whether the message has been recalled could not be told.
    package init?(_ headers: FieldTable) throws(EnvelopeError) {
        let epoch = try headers.count(HeaderName.replayEpoch)
        guard let text = try headers.text(HeaderName.replayCampaign) else {
            guard epoch == nil else { throw .malformed(HeaderName.replayCampaign, "there, beside its epoch") }
            return nil
        }
        guard let campaign = ReplayCampaignID(rawValue: text) else {
            throw .malformed(HeaderName.replayCampaign, "the id of a campaign")
        }
        guard let epoch else { throw .malformed(HeaderName.replayEpoch, "there, beside its campaign") }
        self.init(campaign: campaign, epoch: epoch)
    }

    /// Adds the stamp, in the place of an older one.
    package func write(to headers: inout FieldTable) {
        headers[HeaderName.replayCampaign] = .string(campaign.rawValue)
        headers[HeaderName.replayEpoch] = .int64(Int64(epoch))
    }
}

extension Envelope.Attempt {
    var table: FieldTable {
        [
            "at": .string(Instant.text(at)), "worker": .string(worker), "code": .string(code),
            "detail": .string(detail),
        ]
    }

    init?(table: FieldTable) {
        guard let at = table["at"]?.string.flatMap(Instant.parse), let code = table["code"]?.string else { return nil }
        self.init(
            at: at, worker: table["worker"]?.string ?? "", code: code, detail: table["detail"]?.string ?? "")
    }
}

extension EnvelopeError {
    fileprivate static func malformed(_ header: String, _ wanted: String) -> EnvelopeError {
        EnvelopeError(description: "the header \(header) is not \(wanted)")
    }
}

extension FieldTable {
    fileprivate func text(_ name: String) throws(EnvelopeError) -> String? {
        guard let value = self[name] else { return nil }
        guard let text = value.string else { throw .malformed(name, "a text") }
        return text
    }

    fileprivate func count(_ name: String) throws(EnvelopeError) -> Int? {
        guard let value = self[name] else { return nil }
        guard let number = value.integer, (0...1_000_000).contains(number) else { throw .malformed(name, "a count") }
        return Int(number)
    }
}
