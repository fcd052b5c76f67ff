import ArgumentParser
import Domain
import Foundation
import Persistence
import Postgres

/// Follows a campaign until nothing of it is on the way any more: a bar that is redrawn on a terminal, lines elsewhere.
struct CampaignWatch {
    let id: ReplayCampaignID
    let json: Bool

    /// - Throws: `ExitCode` 1 if the campaign ended without every letter having had its effect.
    func run(_ pool: PostgresPool) async throws {
        var speed = Speed()
        var lastLine = ""
        var nextLineAt = ContinuousClock.now
        while true {
            guard let campaign = try await ReplayCampaigns.find(id, on: pool) else {
                throw CampaignIdentifier.unknown(id)
            }
            speed.note(campaign.progress)
            let isOver = campaign.settledAt != nil
            if json {
                if isOver { try Output.json(ReplayCampaignView(campaign)) }
            } else if Terminal.isInteractive {
                let line = "\r\u{1B}[2K" + Self.bar(campaign, speed) + (isOver ? "\n" : "")
                FileHandle.standardOutput.write(Data(line.utf8))
            } else {
                // A log wants changes of phase at once and numbers now and then.
                let line = "\(campaign.phase.rawValue): \(CampaignText.counts(campaign.progress))"
                let isNews = !lastLine.hasPrefix(campaign.phase.rawValue) || isOver
                if isNews || line != lastLine && ContinuousClock.now >= nextLineAt {
                    print(line)
                    lastLine = line
                    nextLineAt = .now + .seconds(5)
                }
            }
            if isOver {
                if !json { CampaignText.show(campaign) }
                let progress = campaign.progress
                if progress.done + progress.applied < progress.total { throw ExitCode(Failure.Code.findings.rawValue) }
                return
            }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    static func bar(_ campaign: ReplayCampaign, _ speed: Speed, width: Int = Terminal.width ?? 80) -> String {
        let progress = campaign.progress
        let resolved = progress.total - progress.waiting - progress.inFlight
        let cells = 24
        let filled = progress.total == 0 ? cells : cells * resolved / progress.total
        let onTheWay = progress.total == 0 ? 0 : min(cells - filled, cells * progress.inFlight / progress.total)
        var line =
            "[" + String(repeating: "#", count: filled) + String(repeating: "+", count: onTheWay)
            + String(repeating: ".", count: cells - filled - onTheWay)
            + "] \(resolved)/\(progress.total) \(campaign.phase.rawValue)"
        if let rate = speed.perSecond { line += " \(CampaignText.number(rate))/s" }
        line += "  " + (CampaignText.hint(campaign) ?? CampaignText.counts(progress))
        // A line that wraps could not be drawn over.
        return String(line.prefix(max(20, width - 1)))
    }

    /// Outcomes per second over the last few looks.
    struct Speed {
        private var looks: [(at: ContinuousClock.Instant, resolved: Int)] = []

        mutating func note(_ progress: ReplayProgress) {
            looks.append((.now, progress.done + progress.failed + progress.applied))
            if looks.count > 11 { looks.removeFirst() }
        }

        var perSecond: Double? {
            guard let first = looks.first, let last = looks.last, last.at > first.at else { return nil }
            return Double(last.resolved - first.resolved) / ((last.at - first.at) / .seconds(1))
        }
    }
}
