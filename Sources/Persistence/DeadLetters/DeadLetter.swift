package import Domain
package import Foundation
package import Messaging
import Postgres

/// A message that was given up, as the journal keeps it.
package struct DeadLetter: Hashable, Sendable {
    package enum Status: String, Hashable, Sendable, CaseIterable {
        /// Nobody has dealt with it.
        case dead
        /// A replay campaign holds it.
        case replaying
        /// Published again.
        case replayed
        case discarded
    }

    package var id: DeadLetterID
    /// The same for each copy of one death.
    package var deathKey: String
    /// The work queue it died in; `unrouted` if no queue wanted it.
    package var queue: String
    package var messageID: String
    package var type: String
    /// Where a replay is published: straight to the work queue, or where the message was unroutable.
    package var exchange: String
    package var routingKey: String
    package var correlationID: String?
    /// The AMQP properties and headers as JSON objects, without the broker's own headers and those of the death.
    package var propertiesJSON: String
    package var headersJSON: String
    package var body: [UInt8]
    /// A `DeadLetterReason`, or the broker's: `delivery_limit`, `expired`, `maxlen`, `unrouted`.
    package var reason: String
    package var errorCode: String?
    package var errorText: String?
    package var attempts: [Envelope.Attempt]
    package var attemptCount: Int
    package var replayCount: Int
    package var diedAt: Date
    package var status: Status
    package var resolvedAt: Date?
    package var resolvedBy: String?
    package var resolutionReason: String?
    /// Where the message was published first; nil for letters of an older program.
    package var originalExchange: String?
    package var originalRoutingKey: String?
    /// The role and queue that gave it up, such as `scheduling/scheduling.urgent`; `broker/<queue>` if no worker did.
    package var handler: String?
    /// The version of the worker that gave it up; nil if no worker did.
    package var build: String?
    package var normalisedError: String?
    /// The same for letters that are alike; nil until it has been computed.
    package var fingerprint: String?
    /// What an operator changed about the body; the body itself stays as it came.
    package var patch: JSONPatch?
    package var patchedAt: Date?
    package var patchedBy: String?
    package var patchReason: String?
    /// The replay campaign that holds or replayed it.
    package var campaignID: String?
    /// The replay campaign that had sent the message that died. Known when the letter is journalled or
    /// drained into a file; not stored.
    package var stamp: ReplayStamp?

    package init(
        id: DeadLetterID, deathKey: String, queue: String, messageID: String, type: String, exchange: String,
        routingKey: String, correlationID: String?, propertiesJSON: String, headersJSON: String, body: [UInt8],
        reason: String, errorCode: String?, errorText: String?, attempts: [Envelope.Attempt], attemptCount: Int,
        replayCount: Int, diedAt: Date
    ) {
        self.id = id
        self.deathKey = deathKey
        self.queue = queue
        self.messageID = messageID
        self.type = type
        self.exchange = exchange
        self.routingKey = routingKey
        self.correlationID = correlationID
        self.propertiesJSON = propertiesJSON
        self.headersJSON = headersJSON
        self.body = body
        self.reason = reason
        self.errorCode = errorCode
        self.errorText = errorText
        self.attempts = attempts
        self.attemptCount = attemptCount
        self.replayCount = replayCount
        self.diedAt = diedAt
        status = .dead
    }

    init(_ row: Row) throws {
        let id = try row.decode("id", as: String.self)
        guard let id = DeadLetterID(rawValue: id) else {
            throw PostgresError(.decodingFailed, "dead_letters holds an id that is none")
        }
        self.init(
            id: id, deathKey: try row.decode("death_key"), queue: try row.decode("queue"),
            messageID: try row.decode("message_id"), type: try row.decode("type"),
            exchange: try row.decode("exchange"), routingKey: try row.decode("routing_key"),
            correlationID: try row.decode("correlation_id", as: String?.self),
            propertiesJSON: try row.decode("properties"), headersJSON: try row.decode("headers"),
            body: try row.decode("body"), reason: try row.decode("reason"),
            errorCode: try row.decode("error_code", as: String?.self),
            errorText: try row.decode("error_text", as: String?.self),
            attempts: try WireJSON.decode(
                [Envelope.Attempt].self, from: try row.decode("attempts", as: String.self).utf8),
            attemptCount: try row.decode("attempt_count"), replayCount: try row.decode("replay_count"),
            diedAt: try row.decode("died_at"))
        status = Status(rawValue: try row.decode("status")) ?? .dead
        resolvedAt = try row.decode("resolved_at", as: Date?.self)
        resolvedBy = try row.decode("resolved_by", as: String?.self)
        resolutionReason = try row.decode("resolution_reason", as: String?.self)
        originalExchange = try row.decode("original_exchange", as: String?.self)
        originalRoutingKey = try row.decode("original_routing_key", as: String?.self)
        handler = try row.decode("handler", as: String?.self)
        build = try row.decode("build", as: String?.self)
        normalisedError = try row.decode("normalised_error", as: String?.self)
        fingerprint = try row.decode("fingerprint", as: String?.self)
        patch = try row.decode("patch", as: String?.self).map { try JSONPatch(json: $0.utf8) }
        patchedAt = try row.decode("patched_at", as: Date?.self)
        patchedBy = try row.decode("patched_by", as: String?.self)
        patchReason = try row.decode("patch_reason", as: String?.self)
        campaignID = try row.decode("campaign_id", as: String?.self)
    }

    /// The body as it is published: the original, or the original with the patch applied.
    ///
    /// - Throws: `JSONPatch.Failure` if the original is not JSON or not what the patch was made for.
    package func effectiveBody() throws(JSONPatch.Failure) -> [UInt8] {
        try patch?.apply(toBody: body) ?? body
    }
}

extension JSONPatch {
    /// The patch as the column keeps it.
    var document: JSONText { JSONText(String(decoding: json.encoded(), as: UTF8.self)) }
}
