import Domain
import Testing

@Suite struct JobTransitionTests {
    /// The whole table: everything that is not in it is refused.
    private static let allowed: [JobState: [JobAction: JobState]] = [
        .requested: [.schedule: .scheduled, .cancel: .canceled],
        .scheduled: [
            .reschedule: .scheduled, .confirm: .confirmed, .hold: .onHold, .requireReschedule: .needsReschedule,
            .cancel: .canceled,
        ],
        .confirmed: [
            .reschedule: .scheduled, .start: .inProgress, .hold: .onHold, .requireReschedule: .needsReschedule,
            .cancel: .canceled,
        ],
        .inProgress: [.complete: .completed, .cancel: .canceled],
        .onHold: [.reschedule: .scheduled, .requireReschedule: .needsReschedule, .cancel: .canceled],
        .needsReschedule: [.reschedule: .scheduled, .cancel: .canceled],
        .completed: [.reopen: .inProgress],
        .canceled: [.reopen: .requested],
    ]

    @Test(arguments: JobState.allCases, JobAction.allCases)
    func onlyTheTableIsAllowed(state: JobState, action: JobAction) {
        let expected = Self.allowed[state]?[action]
        let next = try? state.after(action)
        #expect(next == expected)
        #expect(state.allowedActions.contains(action) == (expected != nil))
    }

    @Test func aRefusalSaysWhatCannotBeDone() {
        #expect(throws: Problem.illegalTransition("A job that is in progress cannot be rescheduled.")) {
            try JobState.inProgress.after(.reschedule)
        }
    }
}
