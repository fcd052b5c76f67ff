import Testing
import WorkerRuntime

/// The state machine alone, with a clock that the test moves.
@Suite struct CircuitBreakerTests {
    private static let policy = CircuitBreaker.Policy(
        failuresToOpen: 3, firstPause: .seconds(10), longestPause: .seconds(60), trialLimit: .seconds(30))
    private let start = ContinuousClock.now

    private func at(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

    /// Each step: at a second, work begins and ends with a verdict, or must be refused (nil); the state afterwards.
    private func run(_ steps: [(Double, CircuitBreaker.Verdict?, String)]) throws {
        var breaker = CircuitBreaker(policy: Self.policy)
        for (second, verdict, state) in steps {
            let permit = breaker.begin(at: at(second))
            if let verdict {
                breaker.end(try #require(permit, "refused at \(second)"), verdict, at: at(second), jitter: 1)
            } else {
                #expect(permit == nil, "admitted at \(second)")
            }
            #expect(breaker.state.name == state, "at \(second)")
        }
    }

    @Test func opensThoughNothingEverSucceeded() throws {
        try run([(0, .failed, "closed"), (1, .failed, "closed"), (2, .failed, "open"), (3, nil, "open")])
    }

    @Test func aSuccessInBetweenStartsTheCountAnew() throws {
        try run([
            (0, .failed, "closed"), (1, .failed, "closed"), (2, .answered, "closed"), (3, .failed, "closed"),
            (4, .failed, "closed"), (5, .failed, "open"),
        ])
    }

    @Test func whatSaysNothingChangesNothing() throws {
        try run([
            (0, .failed, "closed"), (1, .unknown, "closed"), (2, .failed, "closed"), (3, .unknown, "closed"),
            (4, .failed, "open"),
        ])
    }

    @Test func aTrialThatSucceedsClosesIt() throws {
        try run([
            (0, .failed, "closed"), (0, .failed, "closed"), (0, .failed, "open"), (9.9, nil, "open"),
            (10, .answered, "closed"), (10, .failed, "closed"), (10, .failed, "closed"), (10, .failed, "open"),
            // The first pause again: the service had been there.
            (19.9, nil, "open"), (20, .answered, "closed"),
        ])
    }

    @Test func eachTrialThatFailsDoublesThePauseUpToTheLongest() throws {
        try run([
            (0, .failed, "closed"), (0, .failed, "closed"), (0, .failed, "open"),
            (10, .failed, "open"), (29.9, nil, "open"),
            (30, .failed, "open"), (69.9, nil, "open"),
            (70, .failed, "open"), (129.9, nil, "open"),
            (130, .failed, "open"), (189.9, nil, "open"),
            (190, .answered, "closed"),
        ])
    }

    @Test func aTrialOfWhichNothingIsLearnedMakesRoomForAnother() throws {
        try run([
            (0, .failed, "closed"), (0, .failed, "closed"), (0, .failed, "open"), (10, .unknown, "half_open"),
            (10, .unknown, "half_open"), (11, .answered, "closed"),
        ])
    }

    private func permit(
        _ breaker: inout CircuitBreaker, _ instant: ContinuousClock.Instant
    ) throws -> CircuitBreaker.Permit {
        let permit = breaker.begin(at: instant)
        return try #require(permit)
    }

    private func fail(
        _ breaker: inout CircuitBreaker, _ instant: ContinuousClock.Instant, jitter: Double
    ) throws {
        breaker.end(try permit(&breaker, instant), .failed, at: instant, jitter: jitter)
    }

    private func opened() throws -> CircuitBreaker {
        var breaker = CircuitBreaker(policy: Self.policy)
        for _ in 0..<3 { try fail(&breaker, at(0), jitter: 1) }
        return breaker
    }

    @Test func trialsAreMadeOneAtATime() throws {
        var breaker = try opened()
        let trial = try permit(&breaker, at(10))
        #expect(trial.isTrial)
        for second in [10, 20, 39] {
            let refused = breaker.begin(at: at(Double(second)))
            #expect(refused == nil)
        }
        breaker.end(trial, .answered, at: at(39))
        let next = try permit(&breaker, at(39))
        #expect(!next.isTrial)
    }

    @Test func aLostTrialIsReplacedAndHasNoSayAfterwards() throws {
        var breaker = try opened()
        let lost = try permit(&breaker, at(10))
        let second = try permit(&breaker, at(40))
        breaker.end(lost, .answered, at: at(41))
        #expect(breaker.state.name == "half_open")
        breaker.end(second, .failed, at: at(42))
        #expect(breaker.state.name == "open")
    }

    @Test(arguments: [CircuitBreaker.Verdict.answered, .failed, .unknown])
    func workThatBeganBeforeItOpenedHasNoSay(verdict: CircuitBreaker.Verdict) throws {
        var breaker = CircuitBreaker(policy: Self.policy)
        let slow = try permit(&breaker, at(0))
        for _ in 0..<3 { try fail(&breaker, at(1), jitter: 1) }
        let opened = breaker
        breaker.end(slow, verdict, at: at(2))
        #expect(breaker == opened)
        let trial = try permit(&breaker, at(12))
        let trying = breaker
        breaker.end(slow, verdict, at: at(13))
        #expect(breaker == trying)
        breaker.end(trial, .answered, at: at(14))
        breaker.end(slow, verdict, at: at(15))
        #expect(breaker.state == .closed(failures: 0))
    }

    @Test(arguments: [(0.0, 7.5), (0.5, 8.75), (1.0, 10.0)])
    func jitterSetsTheTrialIntoTheLastQuarter(jitter: Double, second: Double) throws {
        var breaker = CircuitBreaker(policy: Self.policy)
        for _ in 0..<3 { try fail(&breaker, at(0), jitter: jitter) }
        #expect(breaker.state == .open(until: at(second)))
    }

    /// Whatever happens in whatever order: never two trials at once, and never admitted while open.
    @Test(arguments: 0..<50) func invariantsHoldForRandomHistories(seed: UInt64) {
        var random = SplitMix(state: seed)
        var breaker = CircuitBreaker(policy: Self.policy)
        var second = 0.0
        var held: [CircuitBreaker.Permit] = []
        var trial: (permit: CircuitBreaker.Permit, since: Double)?
        for _ in 0..<2_000 {
            second += Double(random.next() % 400) / 100
            if random.next() % 2 == 0 {
                let before = breaker.state
                if let permit = breaker.begin(at: at(second)) {
                    if case .open(let until) = before { #expect(at(second) >= until) }
                    if permit.isTrial {
                        if let trial, case .halfOpen(.some, _) = before { #expect(second - trial.since >= 30) }
                        trial = (permit, second)
                    }
                    held.append(permit)
                }
            } else if !held.isEmpty {
                let permit = held.remove(at: Int(random.next() % UInt64(held.count)))
                let verdict = [CircuitBreaker.Verdict.answered, .failed, .unknown][Int(random.next() % 3)]
                let before = breaker.state
                breaker.end(permit, verdict, at: at(second))
                if case .open = before { #expect(breaker.state == before) }
                if permit.isTrial, permit == trial?.permit { trial = nil }
            }
        }
    }
}

/// A small generator with a seed (SplitMix64, Steele, Lea and Flood 2014), so that a failing run can be run again.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
