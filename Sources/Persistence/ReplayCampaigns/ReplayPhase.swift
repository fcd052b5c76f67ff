/// Where a replay campaign stands.
///
///     planned ──► canary ──► ramping ──► running ──► done
///        └──────────┴───── ▲ │ ┴────────────┴──► aborted ──► recalled
///                   resume │ ▼ pause                            ▲
///                         paused ───────────────────────────────┘   (recall works from every phase but done)
package enum ReplayPhase: String, Hashable, Sendable, CaseIterable {
    /// Nothing has been sent yet.
    case planned
    /// The first letters are on the way; everything waits for what becomes of them.
    case canary
    /// Batches go out one after another, each after the outcomes of the one before.
    case ramping
    /// Only the rate and the number in flight hold it back.
    case running
    /// Sends nothing until it is resumed; outcomes still come in.
    case paused
    /// Every letter has its outcome.
    case done
    /// Stopped for good, by an operator or by its failures. What was sent takes its course.
    case aborted
    /// Stopped for good, and what was sent and not begun has no effect any more.
    case recalled

    package var hasEnded: Bool { self == .done || self == .aborted || self == .recalled }

    /// The phase after an operator's act: the same one if the act changes nothing, nil if it cannot be done any more.
    package func after(_ act: ReplayAct) -> ReplayPhase? {
        switch (act, self) {
        case (.recall, .done): nil
        case (.recall, _): .recalled
        case (.abort, .aborted): .aborted
        case (_, .done), (_, .aborted), (_, .recalled): nil
        case (.abort, _): .aborted
        case (.pause, _): .paused
        // The next step of the runner finds out how far it had come.
        case (.resume, .paused): .planned
        case (.resume, _): self
        }
    }
}

/// What an operator does to a running campaign.
package enum ReplayAct: String, Hashable, Sendable, CaseIterable {
    case pause, resume, abort, recall
}

/// What has become of a campaign's letters, counted.
package struct ReplayProgress: Hashable, Sendable {
    /// Not sent yet.
    package var waiting = 0
    /// Being sent, or sent without knowing whether the broker took it; it is sent again then.
    package var publishing = 0
    /// With the broker; its outcome is not known.
    package var published = 0
    /// Never sent, because its effect had happened before.
    package var applied = 0
    /// Sent, and its effect has happened, now or before.
    package var done = 0
    /// Sent, and died again; or it cannot be sent as it is.
    package var failed = 0
    /// Sent and recalled before its effect; dead again.
    package var recalled = 0
    /// Never sent, because the campaign was stopped; dead again.
    package var withdrawn = 0
    /// Of the last `ReplayRules.judgedOutcomes` letters that were done or failed: how many, and how many failed.
    package var judged = 0
    package var judgedFailed = 0

    package init() {}

    package var inFlight: Int { publishing + published }
    /// Letters that went out, whatever became of them.
    package var sent: Int { inFlight + done + failed }
    package var total: Int { waiting + inFlight + applied + done + failed + recalled + withdrawn }
}

/// What the runner does next with a campaign. A pure function of its phase, its rules and what its rows say, so any runner
/// at any time comes to the same.
package struct ReplayStep: Hashable, Sendable {
    package var phase: ReplayPhase
    /// How many letters may be sent now, as far as stage and number in flight go.
    package var room = 0
    /// Why the phase is `aborted`, if this step made it so.
    package var reason: String?

    package init(_ phase: ReplayPhase, room: Int = 0, reason: String? = nil) {
        self.phase = phase
        self.room = room
        self.reason = reason
    }

    package init(after phase: ReplayPhase, _ rules: ReplayRules, _ progress: ReplayProgress) {
        if phase.hasEnded {
            self.init(phase)
        } else if let reason = Self.objection(rules, progress) {
            self.init(.aborted, reason: reason)
        } else if progress.waiting == 0, progress.inFlight == 0 {
            self.init(.done)
        } else if phase == .paused {
            self.init(.paused)
        } else {
            self = Self.stage(rules, progress)
        }
    }

    /// A canary that fails is a share of 1, so small numbers are judged strictly.
    private static func objection(_ rules: ReplayRules, _ progress: ReplayProgress) -> String? {
        guard progress.judgedFailed > 0,
            Double(progress.judgedFailed) > rules.abortAbove * Double(progress.judged)
        else { return nil }
        let limit = (rules.abortAbove * 1_000).rounded() / 10
        return "\(progress.judgedFailed) of the last \(progress.judged) outcomes failed; the limit is \(limit) %"
    }

    private static func stage(_ rules: ReplayRules, _ progress: ReplayProgress) -> ReplayStep {
        let free = max(0, min(rules.maxInFlight - progress.inFlight, progress.waiting))
        for (index, milestone) in rules.milestones.enumerated() {
            let isCanary = index == 0 && rules.canary > 0
            let isOver = progress.sent > milestone || progress.sent == milestone && progress.inFlight == 0
            if isOver { continue }
            return ReplayStep(isCanary ? .canary : .ramping, room: min(free, milestone - progress.sent))
        }
        return ReplayStep(.running, room: free)
    }
}
