import Domain
import Foundation
import Messaging
import Persistence

/// A letter as JSON, without its body.
struct LetterView: Encodable {
    let id: DeadLetterID
    let status: String
    let queue: String
    let type: String
    let messageId: String
    let correlationId: String?
    let originalExchange: String?
    let originalRoutingKey: String?
    let reason: String
    let errorCode: String?
    let errorText: String?
    let fingerprint: String?
    let handler: String?
    let build: String?
    let attempts: [Envelope.Attempt]
    let attemptCount: Int
    let replayCount: Int
    let diedAt: Date
    let campaignId: String?
    let patchedAt: Date?
    let patchedBy: String?
    let resolvedAt: Date?
    let resolvedBy: String?
    let resolutionReason: String?

    init(_ letter: DeadLetter) {
        id = letter.id
        status = letter.status.rawValue
        queue = letter.queue
        type = letter.type
        messageId = letter.messageID
        correlationId = letter.correlationID
        originalExchange = letter.originalExchange
        originalRoutingKey = letter.originalRoutingKey
        reason = letter.reason
        errorCode = letter.errorCode
        errorText = letter.errorText
        fingerprint = letter.fingerprint
        handler = letter.handler
        build = letter.build
        attempts = letter.attempts
        attemptCount = letter.attemptCount
        replayCount = letter.replayCount
        diedAt = letter.diedAt
        campaignId = letter.campaignID
        patchedAt = letter.patchedAt
        patchedBy = letter.patchedBy
        resolvedAt = letter.resolvedAt
        resolvedBy = letter.resolvedBy
        resolutionReason = letter.resolutionReason
    }
}
