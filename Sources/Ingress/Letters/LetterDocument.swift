import Domain
import Foundation
import Messaging
import Persistence

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

    let letter: LetterView
    let subject: Subject?
    /// From what the database knows; only `neff dead-letters show` runs the handler.
    let replay: Verdict
    let patch: JSONValue?
    /// Null if the body is not JSON.
    let body: JSONValue?
    let bodyBytes: Int

    init(_ letter: DeadLetter, _ facts: LetterFacts) {
        self.letter = LetterView(letter)
        subject = facts.subject.map {
            Subject(kind: $0.kind, id: $0.id, state: $0.state, startsAt: $0.startsAt, endsAt: $0.endsAt)
        }
        let verdict = facts.verdict ?? .unknown("nothing that is stored speaks against it")
        replay = Verdict(verdict: verdict.name, explanation: verdict.explanation)
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
