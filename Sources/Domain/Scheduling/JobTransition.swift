/// What can be done with a job, as far as its state goes.
package enum JobAction: String, CaseIterable, Sendable {
    /// Gives a requested job its first time.
    case schedule
    case reschedule
    case confirm
    case start
    case complete
    /// Waits for the weather or the customer; the time stays taken.
    case hold
    /// Its time is no longer good and a new one is not known.
    case requireReschedule = "require_reschedule"
    case cancel
    /// Takes back the end of a job.
    case reopen
}

extension JobState {
    /// The state after `action`.
    ///
    /// - Throws: `Problem.illegalTransition` if this state does not allow it.
    package func after(_ action: JobAction) throws(Problem) -> JobState {
        guard let next = Self.next(self, action) else {
            throw .illegalTransition("A job that is \(words) cannot be \(action.pastWords).")
        }
        return next
    }

    /// What may be done in this state.
    package var allowedActions: [JobAction] {
        JobAction.allCases.filter { Self.next(self, $0) != nil }
    }

    private static func next(_ state: JobState, _ action: JobAction) -> JobState? {
        switch (state, action) {
        case (.requested, .schedule): .scheduled
        case (.scheduled, .reschedule), (.confirmed, .reschedule), (.onHold, .reschedule): .scheduled
        case (.needsReschedule, .reschedule): .scheduled
        case (.scheduled, .confirm): .confirmed
        case (.confirmed, .start): .inProgress
        case (.inProgress, .complete): .completed
        case (.scheduled, .hold), (.confirmed, .hold): .onHold
        case (.scheduled, .requireReschedule), (.confirmed, .requireReschedule), (.onHold, .requireReschedule):
            .needsReschedule
        case (.completed, .cancel), (.canceled, .cancel): nil
        case (_, .cancel): .canceled
        case (.canceled, .reopen): .requested
        case (.completed, .reopen): .inProgress
        default: nil
        }
    }

    private var words: String {
        rawValue.replacing("_", with: " ")
    }
}

extension JobAction {
    fileprivate var pastWords: String {
        switch self {
        case .schedule: "scheduled"
        case .reschedule: "rescheduled"
        case .confirm: "confirmed"
        case .start: "started"
        case .complete: "completed"
        case .hold: "put on hold"
        case .requireReschedule: "marked for a new time"
        case .cancel: "canceled"
        case .reopen: "reopened"
        }
    }
}
