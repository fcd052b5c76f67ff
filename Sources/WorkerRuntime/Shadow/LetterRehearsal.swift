import AMQP
package import Foundation
import Messaging
package import Persistence
package import Postgres

/// Says what a replay of a letter would do: from the facts if they decide it, and else from a shadow run of the handler.
package struct LetterRehearsal: Sendable {
    private let shadow: ShadowRun
    /// The handlers by role, mail and other outside effects stubbed.
    private let handlers: [String: any MessageHandler]

    /// - Parameter pool: of a log-in with the rights of the workers.
    package init(pool: PostgresPool, handlers: [String: any MessageHandler], timeLimit: Duration = .seconds(8)) {
        shadow = ShadowRun(pool: pool, timeLimit: timeLimit)
        self.handlers = handlers
    }

    /// - Parameters:
    ///   - facts: what the database knows of the letter; `LetterFacts.read` gives them.
    ///   - runsSuspects: whether to run messages, too, that are known to kill the process that handles them.
    /// - Returns: `unknown` if nothing about the letter came out, such as for lack of rights.
    package func verdict(
        on letter: DeadLetter, _ facts: LetterFacts, runsSuspects: Bool = false, now: Date = Date()
    ) async -> ReplayVerdict {
        if let verdict = facts.verdict { return verdict }
        let killers = [DeadLetterReason.poison.rawValue, "delivery_limit"]
        if killers.contains(letter.reason), !runsSuspects {
            return .unknown("it may have killed workers, so it was not tried here")
        }
        let role = LetterFacts.role(ofQueue: letter.queue)
        guard letter.reason != "unrouted", let handler = handlers[role] else {
            return .unknown("no worker of this program handles what is in \(letter.queue)")
        }
        let envelope: Envelope
        do {
            let (properties, body) = try letter.revived()
            envelope = try Envelope(properties: properties, body: body, now: now)
        } catch let error as JSONPatch.Failure {
            return .newError("patch: \(error)")
        } catch {
            let failure = Failure(code: "envelope", detail: "\(error)")
            return compare(failure, with: letter)
        }
        switch await shadow.run(envelope, role: role, handler: handler, now: now) {
        case .succeeded: return .wouldSucceed("the present handler succeeded on it, and was undone")
        case .ignored(let reason): return .superseded("the present handler would ignore it: \(reason)")
        case .handledBefore: return .alreadyApplied("the inbox has its receipt")
        case .failed(let failure): return compare(failure, with: letter)
        case .inconclusive(let reason): return .unknown(reason)
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
