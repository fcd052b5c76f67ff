import Domain
import Foundation
import Persistence

/// Replay campaigns for people.
enum CampaignText {
    static func show(_ campaign: ReplayCampaign) {
        let rules = campaign.rules
        let progress = campaign.progress
        print("Campaign     \(campaign.id) (\(phase(campaign)))")
        print(
            "Made         \(Output.time(campaign.createdAt)) by \(campaign.createdBy)"
                + (campaign.reason.map { ": \($0)" } ?? ""))
        print("Goes to      \(rules.targetQueue ?? "where each letter died")")
        print(
            "Rules        canary \(rules.canary), ramp \(list(rules.ramp)), "
                + "\(rules.rate.map { "\(number($0))/s" } ?? "any rate"), at most \(rules.maxInFlight) in flight, "
                + "abort above \(number(rules.abortAbove * 100)) % failures")
        print("Run by       \(campaign.owner ?? (campaign.settledAt == nil ? "nobody now" : "nobody any more"))")
        print("Letters      \(progress.total): \(counts(progress))")
        if let hint = hint(campaign) { print(hint) }
    }

    static func show(_ letters: [ReplayLetter]) {
        var table = Table("LETTER", "MESSAGE", "QUEUE", "STATE", "SENT", "OUTCOME", "DETAIL")
        for letter in letters {
            table.add(
                letter.id.rawValue, letter.messageID, letter.queue, letter.state.rawValue,
                letter.publishedAt.map(Output.time) ?? "", letter.resolvedAt.map(Output.time) ?? "",
                letter.successor.map { "\(letter.detail ?? ""), now \($0)" } ?? letter.detail ?? "")
        }
        table.print()
    }

    static func show(_ plan: ReplayPlan) {
        print(
            "\(plan.letters) letters, \(size(plan.bytes)) of bodies, from "
                + "\(plan.oldest.map(Output.time) ?? "-") to \(plan.youngest.map(Output.time) ?? "-")")
        if plan.applied > 0 { print("  \(plan.applied) have had their effect and would not be sent") }
        if plan.tooLate > 0 { print("  \(plan.tooLate) ask for something that is over") }
        if plan.replayedBefore > 0 { print("  \(plan.replayedBefore) were replayed before and died again") }
        if plan.patched > 0 { print("  \(plan.patched) would go out with a patch") }
        if plan.notDead > 0 { print("  \(plan.notDead) of the ids are not dead, or not there; they are passed over") }
        if !plan.fits { print("  more than one campaign takes (\(ReplayRules.maxLetters)): narrow the selection") }
        guard plan.letters > 0 else { return }
        print()
        var queues = Table("WOULD GO TO", "LETTERS")
        for (queue, count) in plan.queues.sorted(by: { $0.value > $1.value }) { queues.add(queue, String(count)) }
        queues.print()
        print()
        var groups = Table("FINGERPRINT", "TYPE", "WHY", "LETTERS", "OLDEST")
        for group in plan.groups {
            groups.add(
                group.fingerprint ?? "", group.type, group.errorCode ?? "", String(group.count),
                Output.time(group.oldest))
        }
        groups.print()
    }

    static func phase(_ campaign: ReplayCampaign) -> String {
        campaign.phase.rawValue + (campaign.phaseReason.map { ": \($0)" } ?? "")
    }

    /// Every count that is not zero.
    static func counts(_ progress: ReplayProgress) -> String {
        let parts = [
            (progress.done, "done"), (progress.applied, "had been done before"), (progress.failed, "failed"),
            (progress.inFlight, "on the way"), (progress.waiting, "waiting"), (progress.recalled, "recalled"),
            (progress.withdrawn, "never sent"),
        ]
        return parts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    }

    /// What keeps the campaign from going on, if anything can be said.
    static func hint(_ campaign: ReplayCampaign) -> String? {
        guard campaign.settledAt == nil, campaign.owner == nil, campaign.createdAt.timeIntervalSinceNow < -10 else {
            return nil
        }
        return "Nobody runs it: start `neff worker dead-letters`."
    }

    static func number(_ value: Double) -> String { value.formatted(.number.precision(.fractionLength(0...2))) }

    private static func size(_ bytes: Int) -> String {
        bytes < 10_240 ? "\(bytes) bytes" : bytes < 10 << 20 ? "\(bytes >> 10) KiB" : "\(bytes >> 20) MiB"
    }

    private static func list(_ sizes: [Int]) -> String {
        sizes.isEmpty ? "none" : sizes.map(String.init).joined(separator: ",")
    }
}
