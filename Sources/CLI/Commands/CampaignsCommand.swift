import ArgumentParser
import Domain
import Foundation
import Persistence
import Postgres

struct CampaignsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "campaigns", abstract: "Replays of dead letters: follow, pause, resume, abort, recall.",
        discussion: """
            `neff dead-letters replay` makes a campaign; `neff worker dead-letters` carries it out, whoever's terminal closes.

            Exit codes: 0 done; 1 a campaign that was watched ended without every letter having its effect; 65 there is no \
            such campaign, or it is too late for that; the others are those of every command.
            """,
        subcommands: [List.self, Show.self, Pause.self, Resume.self, Abort.self, Recall.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List campaigns, the youngest first.")

        @Flag(help: "Only those of which something is still on the way or to be sent.") var open = false
        @Option(help: "At most this many, 1 to 200.") var limit = 20
        @Option(help: "Go on after this campaign.") var after: String?
        @Flag(help: "Print JSON.") var json = false

        func validate() throws {
            if !(1...200).contains(limit) { throw ValidationError("--limit must be 1 to 200") }
        }

        func run() async throws {
            let cursor = try after.map(CampaignIdentifier.read)
            let campaigns = try await Database.with("campaigns") { pool in
                try await ReplayCampaigns.list(before: cursor, isUnsettled: open, limit: limit, on: pool)
            }
            if json { return try Output.json(campaigns.map(ReplayCampaignView.init)) }
            if campaigns.isEmpty { return print("There are no replay campaigns.") }
            var table = Table("ID", "PHASE", "BY", "MADE", "LETTERS", "DONE", "FAILED", "ON THE WAY", "WAITING", "BACK")
            for campaign in campaigns {
                let progress = campaign.progress
                table.add(
                    campaign.id.rawValue, campaign.phase.rawValue, campaign.createdBy,
                    Output.time(campaign.createdAt), String(progress.total), String(progress.done + progress.applied),
                    String(progress.failed), String(progress.inFlight), String(progress.waiting),
                    String(progress.recalled + progress.withdrawn))
            }
            table.print()
            if campaigns.count == limit, let last = campaigns.last {
                print("More: neff campaigns list --after \(last.id)")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one campaign, and with --letters what became of each letter.")

        @Argument(help: "The campaign's id.") var id: String
        @Flag(help: "Also list its letters.") var letters = false
        @Option(help: "Only letters in this state: \(LetterState.names). Goes with --letters.") var state:
            [LetterState] = []
        @Flag(help: "Stay and show how it goes on until nothing of it is on the way any more.") var watch = false
        @Flag(help: "Print JSON.") var json = false

        func validate() throws {
            if watch, letters { throw ValidationError("--watch and --letters do not go together") }
            if !state.isEmpty, !letters { throw ValidationError("--state goes with --letters") }
        }

        func run() async throws {
            let id = try CampaignIdentifier.read(id)
            try await Database.with("campaigns") { pool in
                if watch { return try await CampaignWatch(id: id, json: json).run(pool) }
                guard let campaign = try await ReplayCampaigns.find(id, on: pool) else {
                    throw CampaignIdentifier.unknown(id)
                }
                var rows: [ReplayLetter] = []
                if letters { rows = try await Self.letters(of: id, Set(state.map(\.state)), pool) }
                if json {
                    struct Whole: Encodable {
                        let campaign: ReplayCampaignView
                        let items: [ReplayLetterView]
                    }
                    let view = ReplayCampaignView(campaign)
                    if letters {
                        try Output.json(Whole(campaign: view, items: rows.map(ReplayLetterView.init)))
                    } else {
                        try Output.json(view)
                    }
                    return
                }
                CampaignText.show(campaign)
                if letters { CampaignText.show(rows) }
            }
        }

        static func letters(
            of id: ReplayCampaignID, _ states: Set<ReplayLetter.State>, _ pool: PostgresPool
        ) async throws -> [ReplayLetter] {
            var all: [ReplayLetter] = []
            while true {
                let page = try await ReplayCampaigns.letters(
                    of: id, states: states, after: all.last?.id, limit: 1_000, on: pool)
                all += page
                if page.count < 1_000 { return all }
            }
        }
    }

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Send nothing more until it is resumed. What is on the way takes its course.")
        @OptionGroup var options: ActOptions
        func run() async throws { try await options.perform(.pause) }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Go on with a campaign that was paused.")
        @OptionGroup var options: ActOptions
        func run() async throws { try await options.perform(.resume) }
    }

    struct Abort: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop for good. What was sent takes its course; what was not is dead again.")
        @OptionGroup var options: ActOptions
        func run() async throws { try await options.perform(.abort) }
    }

    struct Recall: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop for good and take back what was sent: whatever no worker has begun has no effect any more.",
            discussion: """
                When the command returns, each letter is done, or dead again; `neff campaigns show ID --letters` lists \
                which. It waits for workers that have a message of the campaign in hand. A mail whose sending has begun \
                cannot be taken back: it is shown as on the way and comes to its end.
                """)
        @OptionGroup var options: ActOptions
        func run() async throws { try await options.perform(.recall) }
    }

    struct ActOptions: ParsableArguments {
        @Argument(help: "The campaign's id.") var id: String
        @Option(help: "Why; kept in the operator log.") var reason: String?
        @OptionGroup var who: OperatorOptions
        @Flag(help: "Print JSON.") var json = false

        func perform(_ act: ReplayAct) async throws {
            let id = try CampaignIdentifier.read(id)
            let consumers = try ReplayConsumers.all()
            let result = try await Database.with("campaigns") { pool in
                try await ReplayCampaigns.perform(
                    act, on: id, by: who.actor, reason: reason, consumers: consumers, pool: pool)
            }
            switch result {
            case .unknown: throw CampaignIdentifier.unknown(id)
            case .busy:
                throw Failure(
                    .unavailable,
                    "A worker has had a message of the campaign in hand for half a minute; nothing has changed. "
                        + "Pause the campaign and try again, or stop the worker that `neff status` shows busy.")
            case .impossible(let campaign):
                throw Failure(
                    .data, "The campaign is \(campaign.phase.rawValue): it is too late to \(act.rawValue) it.")
            case .done(let campaign):
                if json { return try Output.json(ReplayCampaignView(campaign)) }
                CampaignText.show(campaign)
            }
        }
    }

    /// A letter's state as an argument.
    struct LetterState: ExpressibleByArgument {
        let state: ReplayLetter.State
        static var names: String { ReplayLetter.State.allCases.map(\.rawValue).joined(separator: ", ") }
        static var allValueStrings: [String] { ReplayLetter.State.allCases.map(\.rawValue) }

        init?(argument: String) {
            guard let state = ReplayLetter.State(rawValue: argument) else { return nil }
            self.state = state
        }
    }
}

/// Ids of campaigns from the command line.
enum CampaignIdentifier {
    static func read(_ text: String) throws -> ReplayCampaignID {
        guard let id = ReplayCampaignID(rawValue: text) else {
            throw Failure(.usage, "\(text) is not the id of a replay campaign; `neff campaigns list` shows them")
        }
        return id
    }

    static func unknown(_ id: ReplayCampaignID) -> Failure { Failure(.data, "There is no replay campaign \(id).") }
}
