package import Domain
package import Foundation

/// A campaign as the API and the command line show it.
package struct ReplayCampaignView: Encodable, Sendable {
    package struct Rules: Encodable, Sendable {
        /// Nil is the queue where each letter died.
        package let targetQueue: String?
        package let canary: Int
        package let ramp: [Int]
        package let rate: Double?
        package let maxInFlight: Int
        package let abortAbove: Double
    }

    package struct Letters: Encodable, Sendable {
        package let total: Int
        package let waiting: Int
        package let inFlight: Int
        package let applied: Int
        package let done: Int
        package let failed: Int
        package let recalled: Int
        package let withdrawn: Int
    }

    package let id: ReplayCampaignID
    package let phase: String
    package let phaseSince: Date
    package let phaseReason: String?
    package let createdAt: Date
    package let createdBy: String
    package let reason: String?
    package let settledAt: Date?
    package let owner: String?
    package let rules: Rules
    package let letters: Letters

    package init(_ campaign: ReplayCampaign) {
        let progress = campaign.progress
        id = campaign.id
        phase = campaign.phase.rawValue
        phaseSince = campaign.phaseSince
        phaseReason = campaign.phaseReason
        createdAt = campaign.createdAt
        createdBy = campaign.createdBy
        reason = campaign.reason
        settledAt = campaign.settledAt
        owner = campaign.owner
        rules = Rules(
            targetQueue: campaign.rules.targetQueue, canary: campaign.rules.canary, ramp: campaign.rules.ramp,
            rate: campaign.rules.rate, maxInFlight: campaign.rules.maxInFlight, abortAbove: campaign.rules.abortAbove)
        letters = Letters(
            total: progress.total, waiting: progress.waiting, inFlight: progress.inFlight, applied: progress.applied,
            done: progress.done, failed: progress.failed, recalled: progress.recalled, withdrawn: progress.withdrawn)
    }
}

/// What a campaign did with one letter, as the API and the command line show it.
package struct ReplayLetterView: Encodable, Sendable {
    package let letter: DeadLetterID
    package let message: String
    package let queue: String
    package let state: String
    package let publishedAt: Date?
    package let resolvedAt: Date?
    package let detail: String?
    package let successor: DeadLetterID?

    package init(_ letter: ReplayLetter) {
        self.letter = letter.id
        message = letter.messageID
        queue = letter.queue
        state = letter.state.rawValue
        publishedAt = letter.publishedAt
        resolvedAt = letter.resolvedAt
        detail = letter.detail
        successor = letter.successor
    }
}

/// A plan as the API and the command line show it.
package struct ReplayPlanView: Encodable, Sendable {
    package struct Group: Encodable, Sendable {
        package let fingerprint: String?
        package let type: String
        package let errorCode: String?
        package let count: Int
        package let oldest: Date
    }

    package struct Verdicts: Encodable, Sendable {
        /// Their effect has happened: they are not sent.
        package let alreadyApplied: Int
        /// What they ask for is over.
        package let tooLate: Int
    }

    package let letters: Int
    package let bytes: Int
    package let oldest: Date?
    package let youngest: Date?
    package let queues: [String: Int]
    package let groups: [Group]
    package let verdicts: Verdicts
    package let replayedBefore: Int
    package let patched: Int
    package let notDead: Int

    package init(_ plan: ReplayPlan) {
        letters = plan.letters
        bytes = plan.bytes
        oldest = plan.oldest
        youngest = plan.youngest
        queues = plan.queues
        groups = plan.groups.map {
            Group(
                fingerprint: $0.fingerprint, type: $0.type, errorCode: $0.errorCode, count: $0.count, oldest: $0.oldest)
        }
        verdicts = Verdicts(alreadyApplied: plan.applied, tooLate: plan.tooLate)
        replayedBefore = plan.replayedBefore
        patched = plan.patched
        notDead = plan.notDead
    }
}
