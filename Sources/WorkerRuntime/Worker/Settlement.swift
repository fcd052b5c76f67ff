/// How a job ended, whatever it was that ended it.
package enum JobResult: Hashable, Sendable {
    /// The handler answered; for `done` and `ignored` its transaction has committed.
    case finished(Outcome)
    /// The inbox knew the message: its effect happened earlier.
    case duplicate
    /// The replay campaign that sent it has been recalled: it has no effect, and its letter is dead again.
    case recalled
    /// The handler or its transaction threw.
    case failed(Failure)
    /// The handler did not answer in time and was cancelled.
    case timedOut(Duration)
    /// Cut off before it could end, by the drain's deadline.
    case interrupted
    /// The bytes are no message, or not the message that the type promises.
    case undecodable(Failure)
    /// Each time it was tried alone, the process died.
    case poison(crashes: Int)
}

/// What is known about earlier deliveries of the same message. Hints: only the inbox is certain.
package struct DeliveryHistory: Hashable, Sendable {
    package var isRedelivered: Bool
    /// How often a consumer gave it back or vanished with it; `x-delivery-count` of quorum queues.
    package var returns: Int

    package init(isRedelivered: Bool = false, returns: Int = 0) {
        self.isRedelivered = isRedelivered
        self.returns = returns
    }

    /// Whether an earlier consumer may have died of this message.
    package var hasCrashEvidence: Bool { isRedelivered || returns > 0 }
}

/// What becomes of a delivery.
package enum Settlement: Hashable, Sendable {
    case acknowledge
    /// Published to the tier with the failure added to its history, then acknowledged. Spends an attempt.
    case retry(RetryTier, Failure)
    /// Published to the tier unchanged, then acknowledged. Spends neither an attempt nor one of the broker's returns.
    case postpone(RetryTier)
    /// Given back to the queue, for want of a broker that would take it elsewhere. Spends no attempt, but one of the
    /// broker's returns.
    case release
    /// Published to the exchange `dead` with the failure added to its history, then acknowledged.
    case deadLetter(DeadLetterReason, Failure)
}

/// Why a message was given up.
package enum DeadLetterReason: String, Hashable, Sendable, CaseIterable {
    /// The handler said that it can never work.
    case rejected
    /// The last attempt failed.
    case exhausted
    case undecodable
    case poison
}

/// Decides what becomes of a delivery; the only place that does.
///
/// - Parameter attemptsSpent: failed attempts before this one, from the message's own headers.
package func settle(_ result: JobResult, attemptsSpent: Int, policy: RetryPolicy) -> Settlement {
    switch result {
    case .finished(.done), .finished(.ignored), .duplicate, .recalled:
        return .acknowledge
    case .finished(.deadLetter(let code, let detail)):
        return .deadLetter(.rejected, Failure(code: code, detail: detail))
    case .finished(.retry(let code, let detail, let after)):
        return retryOrGiveUp(Failure(code: code, detail: detail), attemptsSpent, after, policy)
    case .failed(let failure):
        return retryOrGiveUp(failure, attemptsSpent, nil, policy)
    case .timedOut(let limit):
        let failure = Failure(code: "timeout", detail: "the handler took longer than \(limit)")
        return retryOrGiveUp(failure, attemptsSpent, nil, policy)
    case .undecodable(let failure):
        return .deadLetter(.undecodable, failure)
    case .poison(let crashes):
        let detail = "the worker died \(crashes) times while it handled this message alone"
        return .deadLetter(.poison, Failure(code: "poison", detail: detail))
    case .interrupted, .finished(.release):
        // Not back to the queue: there the broker would count a delivery, take it for a sign of a crash, and hand it
        // straight to the next worker.
        return .postpone(policy.tiers[0])
    }
}

private func retryOrGiveUp(
    _ failure: Failure, _ attemptsSpent: Int, _ after: Duration?, _ policy: RetryPolicy
) -> Settlement {
    let spent = attemptsSpent + 1
    guard spent < policy.maxAttempts else { return .deadLetter(.exhausted, failure) }
    return .retry(policy.tier(afterAttempts: spent, atLeast: after), failure)
}
