package import Domain
package import Foundation
package import Messaging

/// A dead letter as the API and the command line show it, without its body.
package struct LetterView: Encodable, Sendable {
    package let id: DeadLetterID
    package let status: String
    package let queue: String
    package let type: String
    package let messageId: String
    package let correlationId: String?
    package let originalExchange: String?
    package let originalRoutingKey: String?
    package let reason: String
    package let errorCode: String?
    package let errorText: String?
    package let fingerprint: String?
    package let handler: String?
    package let build: String?
    package let attempts: [Envelope.Attempt]
    package let attemptCount: Int
    package let replayCount: Int
    package let diedAt: Date
    package let campaignId: String?
    package let isEdited: Bool
    package let patchedAt: Date?
    package let patchedBy: String?
    package let resolvedAt: Date?
    package let resolvedBy: String?
    package let resolutionReason: String?

    package init(_ letter: DeadLetter) {
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
        isEdited = letter.patch != nil
        patchedAt = letter.patchedAt
        patchedBy = letter.patchedBy
        resolvedAt = letter.resolvedAt
        resolvedBy = letter.resolvedBy
        resolutionReason = letter.resolutionReason
    }
}
