import Domain
import Foundation
import Messaging
import Persistence

/// A dead letter as the API shows it in lists.
struct LetterDocument: Encodable {
    let id: DeadLetterID
    let status: String
    let queue: String
    let type: String
    let messageId: String
    let correlationId: String?
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
    let isEdited: Bool
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
        resolvedAt = letter.resolvedAt
        resolvedBy = letter.resolvedBy
        resolutionReason = letter.resolutionReason
    }
}

/// A dead letter as the API shows it by itself: with what it is about and its body, personal data hidden.
struct LetterDetailDocument: Encodable {
    struct Subject: Encodable {
        let kind: String
        let id: String
        let state: String
        let startsAt: Date
        let endsAt: Date
    }

    struct Verdict: Encodable {
        let verdict: String
        let explanation: String
    }

    let letter: LetterDocument
    let subject: Subject?
    /// From what the database knows; only `neff dead-letters show` runs the handler.
    let replay: Verdict
    let originalExchange: String?
    let originalRoutingKey: String?
    let patch: JSONValue?
    /// Null if the body is not JSON.
    let body: JSONValue?
    let bodyBytes: Int

    init(_ letter: DeadLetter, _ facts: LetterFacts) {
        self.letter = LetterDocument(letter)
        subject = facts.subject.map {
            Subject(kind: $0.kind, id: $0.id, state: $0.state, startsAt: $0.startsAt, endsAt: $0.endsAt)
        }
        let verdict = facts.verdict ?? .unknown("nothing that is stored speaks against it")
        replay = Verdict(verdict: verdict.name, explanation: verdict.explanation)
        originalExchange = letter.originalExchange
        originalRoutingKey = letter.originalRoutingKey
        patch = letter.patch?.masked
        let bytes = (try? letter.effectiveBody()) ?? letter.body
        body = (try? JSONParser.parse(bytes)).map(PersonalData.masked)
        bodyBytes = bytes.count
    }
}

/// Alike letters as the API shows them.
struct LetterGroupDocument: Encodable {
    let fingerprint: String
    let cause: String
    let unresolved: Int
    let letters: Int
    let firstSeen: Date
    let lastSeen: Date
    let hourly: [Int]
    let trend: String
    let handler: String
    let type: String
    let errorCode: String?
    let normalisedError: String
    let build: String?
    let noneSinceBuild: String?
    let example: String

    init(_ group: LetterGroup) {
        fingerprint = group.fingerprint
        cause = group.cause
        unresolved = group.unresolved
        letters = group.letters
        firstSeen = group.firstSeen
        lastSeen = group.lastSeen
        hourly = group.hourly
        trend = group.trend.rawValue
        handler = group.handler
        type = group.type
        errorCode = group.errorCode
        normalisedError = group.normalisedError
        build = group.build
        noneSinceBuild = group.noneSinceBuild
        example = group.example
    }
}
