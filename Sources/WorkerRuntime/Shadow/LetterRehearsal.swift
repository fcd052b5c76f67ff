import AMQP
package import Foundation
import Messaging
package import Persistence
package import Postgres

/// Says what a replay of a letter would do: from the facts if they decide it, and else from a shadow run of the handler.
package struct LetterRehearsal: Sendable {
    private let pool: PostgresPool
    private let shadow: ShadowRun
    /// The handlers by role, mail and other outside effects stubbed.
    private let handlers: [String: any MessageHandler]

    package init(pool: PostgresPool, handlers: [String: any MessageHandler], timeLimit: Duration = .seconds(8)) {
        self.pool = pool
        shadow = ShadowRun(pool: pool, timeLimit: timeLimit)
        self.handlers = handlers
    }

    /// - Parameter runsSuspects: whether to run messages, too, that are known to kill the process that handles them.
    /// - Throws: `PostgresError` while reading the facts.
    package func verdict(
        on letter: DeadLetter, runsSuspects: Bool = false, now: Date = Date()
    ) async throws -> (facts: LetterFacts, verdict: ReplayVerdict) {
        let facts = try await LetterFacts.read(for: letter, now: now, on: pool)
        if let verdict = facts.verdict { return (facts, verdict) }
        let killers = [DeadLetterReason.poison.rawValue, "delivery_limit"]
        if killers.contains(letter.reason), !runsSuspects {
            return (facts, .unknown("it may have killed workers, so it was not tried here"))
        }
        let role = LetterFacts.role(ofQueue: letter.queue)
        guard letter.reason != "unrouted", let handler = handlers[role] else {
            return (facts, .unknown("no worker of this program handles what is in \(letter.queue)"))
        }
        let envelope: Envelope
        do {
            let (properties, body) = try letter.revived()
            envelope = try Envelope(properties: properties, body: body, now: now)
        } catch let error as JSONPatch.Failure {
            return (facts, .newError("patch: \(error)"))
        } catch {
            let failure = Failure(code: "envelope", detail: "\(error)")
            return (facts, compare(failure, with: letter))
        }
        switch await shadow.run(envelope, role: role, handler: handler, now: now) {
        case .succeeded: return (facts, .wouldSucceed("the present handler succeeded on it, and was undone"))
        case .ignored(let reason): return (facts, .superseded("the present handler would ignore it: \(reason)"))
        case .handledBefore: return (facts, .alreadyApplied("the inbox has its receipt"))
        case .failed(let failure): return (facts, compare(failure, with: letter))
        case .inconclusive(let reason): return (facts, .unknown(reason))
        }
    }

    private func compare(_ failure: Failure, with letter: DeadLetter) -> ReplayVerdict {
        let text = "\(failure.code): \(failure.detail)"
        let isSame =
            failure.code == letter.errorCode
            && ErrorText.normalised(failure.detail) == ErrorText.normalised(letter.errorText ?? "")
        return isSame ? .sameError(text) : .newError(text)
    }
}
