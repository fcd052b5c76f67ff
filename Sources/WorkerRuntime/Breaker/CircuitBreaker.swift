/// Decides whether work that needs an outside service may begin, from how such work has ended so far.
///
/// Pure: time comes in as an argument. Failures in a row open it, and they need no success before them: a service that has
/// never answered is no better than one that has stopped. While it is open nothing may begin; then trials may, one at a
/// time, until one succeeds. Only what says something about the service itself may be reported as a failure of it.
///
///     closed ── failures in a row ──► open ── pause is over ──► half-open ── success ──► closed
///                                      ▲                            │
///                                      └───── failure, longer ──────┘
package struct CircuitBreaker: Hashable, Sendable {
    /// When it opens, and for how long.
    package struct Policy: Hashable, Sendable {
        /// Failures in a row that open it.
        package var failuresToOpen: Int
        /// The pause before the first trial; doubles with each trial that fails.
        package var firstPause: Duration
        package var longestPause: Duration
        /// A trial of which nothing was heard for this long is taken for lost, and another one may begin.
        package var trialLimit: Duration

        package init(
            failuresToOpen: Int = 5, firstPause: Duration = .seconds(5), longestPause: Duration = .seconds(120),
            trialLimit: Duration = .seconds(60)
        ) {
            precondition(failuresToOpen > 0 && firstPause > .zero, "a breaker opens, and rests")
            self.failuresToOpen = failuresToOpen
            self.firstPause = firstPause
            self.longestPause = longestPause
            self.trialLimit = trialLimit
        }
    }

    /// Where it stands.
    package enum State: Hashable, Sendable {
        /// Everything may begin. Becomes `open`.
        case closed(failures: Int)
        /// Nothing may begin before `until`. Becomes `halfOpen`, when somebody asks after that.
        case open(until: ContinuousClock.Instant)
        /// Trials, one at a time: one is under way if its number is there. Becomes `closed` or `open`.
        case halfOpen(trial: Int?, since: ContinuousClock.Instant)
    }

    /// The right to begin one piece of work; to be given back with how it ended.
    package struct Permit: Hashable, Sendable {
        fileprivate let era: Int
        fileprivate let number: Int
        /// Whether the service's fate hangs on this one.
        package let isTrial: Bool
    }

    /// How work ended, as far as the service is concerned.
    package enum Verdict: Hashable, Sendable {
        /// It answered. A refusal of one message is an answer.
        case answered
        /// It could not be reached, or said that it serves nobody.
        case failed
        /// The work was cut off before anything could be learned.
        case unknown
    }

    package let policy: Policy
    package private(set) var state = State.closed(failures: 0)
    /// Failures in a row, over trials too.
    package private(set) var failures = 0
    /// Trials in a row that failed; lengthens the pause.
    private var failedTrials = 0
    /// Goes up with each change of state, so that work which began before it has no say afterwards.
    private var era = 0
    private var lastNumber = 0

    package init(policy: Policy = Policy()) {
        self.policy = policy
    }

    /// Asks to begin.
    ///
    /// - Returns: nil if it must wait.
    package mutating func begin(at now: ContinuousClock.Instant) -> Permit? {
        _ = advance(to: now)
        switch state {
        case .closed:
            return permit(isTrial: false)
        case .open:
            return nil
        case .halfOpen(let trial, let since):
            if trial != nil {
                guard now - since >= policy.trialLimit else { return nil }
                // Whatever the lost one says later is of no interest.
                era += 1
            }
            let permit = permit(isTrial: true)
            state = .halfOpen(trial: permit.number, since: now)
            return permit
        }
    }

    /// Reports how work ended. What began before the last change of state changes nothing.
    ///
    /// - Parameter jitter: 0 to 1; where between three quarters and the whole of a pause the trial is set, so that many
    ///   processes do not try at once.
    package mutating func end(
        _ permit: Permit, _ verdict: Verdict, at now: ContinuousClock.Instant, jitter: Double = .random(in: 0...1)
    ) {
        guard permit.era == era else { return }
        switch (state, verdict) {
        case (.closed, .answered):
            failures = 0
            state = .closed(failures: 0)
        case (.closed, .failed):
            failures += 1
            state = .closed(failures: failures)
            if failures >= policy.failuresToOpen { open(at: now, jitter) }
        case (.halfOpen, .answered):
            failures = 0
            failedTrials = 0
            era += 1
            state = .closed(failures: 0)
        case (.halfOpen, .failed):
            failures += 1
            failedTrials += 1
            open(at: now, jitter)
        case (.halfOpen(_, let since), .unknown):
            state = .halfOpen(trial: nil, since: since)
        case (.closed, .unknown), (.open, _):
            break
        }
    }

    /// Lets time pass: an open breaker whose pause is over becomes half-open.
    ///
    /// - Returns: whether it changed.
    @discardableResult
    package mutating func advance(to now: ContinuousClock.Instant) -> Bool {
        guard case .open(let until) = state, now >= until else { return false }
        era += 1
        state = .halfOpen(trial: nil, since: now)
        return true
    }

    /// How long it rests after so many failed trials.
    func pause(afterFailedTrials count: Int) -> Duration {
        min(policy.longestPause, policy.firstPause * (1 << min(count, 20)))
    }

    private mutating func open(at now: ContinuousClock.Instant, _ jitter: Double) {
        era += 1
        state = .open(until: now + pause(afterFailedTrials: failedTrials) * (0.75 + 0.25 * jitter))
    }

    private mutating func permit(isTrial: Bool) -> Permit {
        lastNumber += 1
        return Permit(era: era, number: lastNumber, isTrial: isTrial)
    }
}

extension CircuitBreaker.State {
    /// As in the table `breakers` and in the metric's labels.
    package var name: String {
        switch self {
        case .closed: "closed"
        case .open: "open"
        case .halfOpen: "half_open"
        }
    }
}
