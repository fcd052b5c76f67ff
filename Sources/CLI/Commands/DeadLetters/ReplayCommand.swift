import ArgumentParser
import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import Topology

struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Send letters again, a few at first. Mend the cause before.",
        discussion: """
            Makes a campaign of the letters that are dead and selected now, and returns; `neff worker dead-letters` carries \
            it out. Its canary goes first, then the batches of its ramp, each after the outcomes of the one before, then the \
            rest within rate and number in flight. A campaign whose failures exceed its limit stops itself. `neff campaigns` \
            follows, pauses, resumes, aborts and recalls it.

            The message keeps its identity, so an effect that has happened does not happen again, whatever the age.

            Exit codes: 0 the campaign is made, or with --watch every letter has had its effect; 1 with --watch, one has \
            not; 65 no letter that is dead was selected; the others are those of every command.
            """)

    @Argument(help: "Ids of letters; none takes those that the filters select.") var ids: [String] = []
    @OptionGroup(title: "Selection") var selection: LetterSelection
    @Flag(help: "Every letter that is dead.") var allDead = false
    @Option(help: "Send them to this work queue instead of where each died.") var to: String?
    @Option(help: "Send this many first, and wait for what becomes of them. 0 does without.") var canary = 1
    @Option(help: "Sizes of the batches after the canary, such as 5,20,100; \"none\" does without.") var ramp =
        BatchSizes([5, 20, 100])
    @Option(help: "Letters per second, such as 50 or 0.5/s; \"none\" sets no limit.") var rate = LetterRate(50)
    @Option(help: "At most this many on the way without a known outcome.") var maxInFlight = 200
    @Option(help: "Stop when more than this share of the last outcomes failed, such as 5% or 0.05.") var abortAbove =
        Share(0.05)
    @Option(help: "Why; kept in the operator log.") var reason: String?
    @OptionGroup var who: OperatorOptions
    @Flag(help: "Only say what it would come to.") var dryRun = false
    @Flag(help: "Stay and show how it goes on. Leaving does not stop it.") var watch = false
    @Flag(help: "Print JSON.") var json = false

    private var rules: ReplayRules {
        ReplayRules(
            targetQueue: to, canary: canary, ramp: ramp.sizes, rate: rate.perSecond, maxInFlight: maxInFlight,
            abortAbove: abortAbove.value)
    }

    func validate() throws {
        let isFiltered = allDead || !selection.isEmpty
        if ids.isEmpty, !isFiltered {
            throw ValidationError("say which letters: ids, or a filter; --all-dead takes every letter that is dead")
        }
        if !ids.isEmpty, isFiltered { throw ValidationError("ids and filters do not go together") }
        if let fault = rules.faults.first {
            throw ValidationError("--\(fault.field.replacing("_", with: "-")) \(fault.problem)")
        }
        if let to, let queues = try? TopologyDocument.shipped().workQueues.keys.sorted(), !queues.contains(to) {
            throw ValidationError("--to must be one of \(queues.joined(separator: ", "))")
        }
    }

    func run() async throws {
        let letters = try ids.map(DeadLetterIdentifier.read)
        let selection: ReplaySelection =
            letters.isEmpty ? .matching(self.selection.filter(status: .dead)) : .ids(letters)
        try await Database.with("replay") { pool in
            if dryRun {
                let plan = try await ReplayCampaigns.plan(selection, rules, on: pool)
                if json { return try Output.json(ReplayPlanView(plan)) }
                return CampaignText.show(plan)
            }
            let campaign = try await create(selection, letters, pool)
            if !json || watch {
                Terminal.complain("campaign \(campaign.id): \(campaign.progress.total) letters")
            }
            let passedOver = Set(letters).count - campaign.progress.total
            if passedOver > 0 { Terminal.complain("\(passedOver) of the ids are not dead, or not there: passed over") }
            if watch { return try await CampaignWatch(id: campaign.id, json: json).run(pool) }
            if json { return try Output.json(ReplayCampaignView(campaign)) }
            print(campaign.id.rawValue)
        }
    }

    private func create(
        _ selection: ReplaySelection, _ letters: [DeadLetterID], _ pool: PostgresPool
    ) async throws -> ReplayCampaign {
        let order = ReplayCampaigns.Order(
            selection: selection, selectionJSON: try selection.json(), rules: rules, actor: who.actor, reason: reason)
        switch try await ReplayCampaigns.create(order, on: pool) {
        case .created(let campaign), .existing(let campaign): return campaign
        case .nothingSelected: throw Failure(.data, "No letter that is dead was selected; nothing was made.")
        case .tooMany:
            throw Failure(
                .data, "More than \(ReplayRules.maxLetters) letters are selected: narrow the selection.")
        }
    }
}

/// `1,5,20`, or `none`.
struct BatchSizes: ExpressibleByArgument, CustomStringConvertible {
    let sizes: [Int]

    init(_ sizes: [Int]) { self.sizes = sizes }

    init?(argument: String) {
        let parts = argument == "none" ? [] : argument.split(separator: ",", omittingEmptySubsequences: false)
        let sizes = parts.map { Int($0) }
        guard !sizes.contains(nil) else { return nil }
        self.init(sizes.compactMap(\.self))
    }

    var description: String { sizes.map(String.init).joined(separator: ",") }
    var defaultValueDescription: String { description }
}

/// `50`, `0.5/s`, or `none`.
struct LetterRate: ExpressibleByArgument {
    let perSecond: Double?

    init(_ perSecond: Double?) { self.perSecond = perSecond }

    init?(argument: String) {
        if argument == "none" {
            self.init(nil)
            return
        }
        guard let number = Double(argument.hasSuffix("/s") ? argument.dropLast(2) : argument[...]) else { return nil }
        self.init(number)
    }

    var defaultValueDescription: String { perSecond.map(CampaignText.number) ?? "none" }
}

/// `5%` or `0.05`.
struct Share: ExpressibleByArgument {
    let value: Double

    init(_ value: Double) { self.value = value }

    init?(argument: String) {
        let isPercent = argument.hasSuffix("%")
        guard let number = Double(isPercent ? argument.dropLast() : argument[...]) else { return nil }
        self.init(isPercent ? number / 100 : number)
    }

    var defaultValueDescription: String { "\(CampaignText.number(value * 100))%" }
}
