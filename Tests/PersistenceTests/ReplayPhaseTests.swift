import Persistence
import Testing

@Suite struct ReplayPhaseTests {
    static func progress(
        waiting: Int = 0, publishing: Int = 0, published: Int = 0, done: Int = 0, failed: Int = 0,
        judged: Int? = nil, judgedFailed: Int? = nil
    ) -> ReplayProgress {
        var progress = ReplayProgress()
        progress.waiting = waiting
        progress.publishing = publishing
        progress.published = published
        progress.done = done
        progress.failed = failed
        progress.judged = judged ?? done + failed
        progress.judgedFailed = judgedFailed ?? failed
        return progress
    }

    static let rules = ReplayRules(canary: 2, ramp: [3, 10], maxInFlight: 6, abortAbove: 0.1)

    static let steps: [(ReplayProgress, ReplayStep)] = [
        // Nothing sent: the canary, and no more than it.
        (progress(waiting: 100), ReplayStep(.canary, room: 2)),
        (progress(waiting: 1), ReplayStep(.canary, room: 1)),
        (progress(waiting: 99, published: 1), ReplayStep(.canary, room: 1)),
        // The canary is out, and everything waits for it.
        (progress(waiting: 98, publishing: 1, published: 1), ReplayStep(.canary)),
        (progress(waiting: 98, published: 1, done: 1), ReplayStep(.canary)),
        // It came home: the first batch, whole, then its outcomes.
        (progress(waiting: 98, done: 2), ReplayStep(.ramping, room: 3)),
        (progress(waiting: 96, published: 2, done: 2), ReplayStep(.ramping, room: 1)),
        (progress(waiting: 95, published: 1, done: 4), ReplayStep(.ramping)),
        // The second batch is larger than what may be in flight.
        (progress(waiting: 95, done: 5), ReplayStep(.ramping, room: 6)),
        (progress(waiting: 90, published: 4, done: 6), ReplayStep(.ramping, room: 2)),
        (progress(waiting: 85, published: 1, done: 14), ReplayStep(.ramping)),
        // After the ramp only the number in flight counts.
        (progress(waiting: 85, done: 15), ReplayStep(.running, room: 6)),
        (progress(waiting: 80, published: 6, done: 14), ReplayStep(.running)),
        (progress(waiting: 2, published: 3, done: 95), ReplayStep(.running, room: 2)),
        (progress(published: 3, done: 97), ReplayStep(.running)),
        (progress(done: 100), ReplayStep(.done)),
        (progress(), ReplayStep(.done)),
        // One failure of eleven is too much for a tenth, one of ten is not.
        (progress(waiting: 80, done: 18, failed: 2), ReplayStep(.running, room: 6)),
        (
            progress(waiting: 98, done: 1, failed: 1),
            ReplayStep(.aborted, reason: "1 of the last 2 outcomes failed; the limit is 10.0 %")
        ),
        // Only the last outcomes count.
        (
            progress(waiting: 80, done: 900, failed: 20, judged: 100, judgedFailed: 11),
            ReplayStep(.aborted, reason: "11 of the last 100 outcomes failed; the limit is 10.0 %")
        ),
        (
            progress(done: 1, failed: 1),
            ReplayStep(.aborted, reason: "1 of the last 2 outcomes failed; the limit is 10.0 %")
        ),
    ]

    @Test(arguments: steps)
    func aStepFollowsFromWhatHasBecomeOfTheLetters(progress: ReplayProgress, step: ReplayStep) {
        for phase in [ReplayPhase.planned, .canary, .ramping, .running] {
            #expect(ReplayStep(after: phase, Self.rules, progress) == step)
        }
    }

    @Test func aPausedCampaignSendsNothingAndStillComesToItsEnd() {
        #expect(ReplayStep(after: .paused, Self.rules, Self.progress(waiting: 5)) == ReplayStep(.paused))
        #expect(ReplayStep(after: .paused, Self.rules, Self.progress(done: 5)) == ReplayStep(.done))
        #expect(ReplayStep(after: .paused, Self.rules, Self.progress(waiting: 5, failed: 1)).phase == .aborted)
    }

    @Test(arguments: [ReplayPhase.done, .aborted, .recalled])
    func anEndIsAnEnd(phase: ReplayPhase) {
        let any = Self.progress(waiting: 5, published: 1, failed: 5)
        #expect(ReplayStep(after: phase, Self.rules, any) == ReplayStep(phase))
    }

    @Test func withoutCanaryAndRampEverythingMayGo() {
        let rules = ReplayRules(canary: 0, ramp: [], maxInFlight: 50, abortAbove: 1)
        #expect(ReplayStep(after: .planned, rules, Self.progress(waiting: 70)) == ReplayStep(.running, room: 50))
        // A share of 1 never stops it.
        let failing = Self.progress(waiting: 70, failed: 30)
        #expect(ReplayStep(after: .running, rules, failing) == ReplayStep(.running, room: 50))
        let ramp = ReplayRules(canary: 0, ramp: [4], maxInFlight: 50)
        #expect(ReplayStep(after: .planned, ramp, Self.progress(waiting: 70)) == ReplayStep(.ramping, room: 4))
    }

    @Test func actsLeadWhereTheyMayAndNowhereElse() {
        let table: [ReplayAct: [ReplayPhase: ReplayPhase]] = [
            .pause: [
                .planned: .paused, .canary: .paused, .ramping: .paused, .running: .paused, .paused: .paused,
            ],
            .resume: [
                .planned: .planned, .canary: .canary, .ramping: .ramping, .running: .running, .paused: .planned,
            ],
            .abort: [
                .planned: .aborted, .canary: .aborted, .ramping: .aborted, .running: .aborted, .paused: .aborted,
                .aborted: .aborted,
            ],
            .recall: [
                .planned: .recalled, .canary: .recalled, .ramping: .recalled, .running: .recalled, .paused: .recalled,
                .aborted: .recalled, .recalled: .recalled,
            ],
        ]
        for act in ReplayAct.allCases {
            for phase in ReplayPhase.allCases {
                #expect(phase.after(act) == table[act]?[phase], "\(act) in \(phase)")
            }
        }
    }

    @Test func rulesThatMakeNoSenseAreNamed() {
        #expect(ReplayRules().faults.isEmpty)
        let wrong = ReplayRules(canary: -1, ramp: [0], rate: 0, maxInFlight: 0, abortAbove: .nan)
        #expect(wrong.faults.map(\.field) == ["canary", "ramp", "rate", "max_in_flight", "abort_above"])
    }
}
