import AMQP
import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import TestSupport
import Testing
import WorkerRuntime

/// Each part of a campaign's life works with the rights of the role that it is done under, and no more.
@Suite(.timeLimit(.minutes(1))) struct ReplayRightsTests {
    private static func `as`<Result: Sendable>(
        _ role: String, _ rig: Rig, _ body: (PostgresPool) async throws -> Result
    ) async throws -> Result {
        let pool = PostgresPool(
            configuration: rig.pool.configuration.withParameter("options", "-c role=\(role)"), size: 2, logger: .silent)
        do {
            let result = try await body(pool)
            await pool.shutDown()
            return result
        } catch {
            await pool.shutDown()
            throw error
        }
    }

    @Test func eachRoleHasTheRightsOfItsPart() async throws {
        try await Rig.with { rig in
            try await rig.bury(["a", "b", "c"])
            let ids = try await DeadLetterTests.letters(rig).map(\.id)
            func order(_ id: DeadLetterID) -> ReplayCampaigns.Order {
                ReplayCampaigns.Order(
                    selection: .ids([id]), selectionJSON: "{}", rules: Rig.atOnce, actor: "ops")
            }
            let work = { (pool: PostgresPool, campaign: ReplayCampaignID) in
                _ = try await ReplayCampaigns.takeLeases(for: .seconds(60), holder: "h", on: pool)
                return try await ReplayCampaigns.step(
                    campaign, holder: "h", limit: 9, consumers: ["work"], on: pool)
            }
            for (role, id) in zip(["neff_operator", "neff_ingress"], ids) {
                let campaign = try await Self.as(role, rig) { pool in
                    #expect(try await ReplayCampaigns.plan(.ids(ids), Rig.atOnce, on: pool).letters > 0)
                    guard case .created(let campaign) = try await ReplayCampaigns.create(order(id), on: pool) else {
                        throw Rig.Unexpected(what: "no campaign")
                    }
                    return campaign
                }
                try await Self.as("neff_deadletters", rig) { pool in
                    let taken = try #require(try await work(pool, campaign.id))
                    #expect(taken.letters.count == 1)
                    try await ReplayCampaigns.record([id: .confirmed], of: campaign.id, on: pool)
                }
                for worker in ["neff_sync", "neff_scheduling", "neff_notification"] {
                    try await Self.as(worker, rig) { pool in
                        let verdict = try await ReplayFence.begin(
                            campaign.stamp, messageID: "other", holder: "h", on: pool)
                        #expect(verdict == .pass)
                        try await ReplayFence.withdraw(campaign.stamp, messageID: "other", holder: "h", on: pool)
                        await #expect(throws: PostgresError.self) {
                            try await pool.query("update replay_campaigns set epoch = 9")
                        }
                    }
                }
                try await Self.as(role, rig) { pool in
                    let result = try await ReplayCampaigns.perform(
                        .recall, on: campaign.id, by: "ops", consumers: ["work"], pool: pool)
                    guard case .done(let recalled) = result else { throw Rig.Unexpected(what: "\(result)") }
                    #expect(recalled.progress.recalled == 1)
                }
                try await Self.as("neff_deadletters", rig) { pool in
                    _ = try await work(pool, campaign.id)
                    // A death that comes late, as the journal writes it.
                    let stamp = campaign.stamp
                    let died = try #require(try await DeadLetters.find(id, on: pool))
                    var letter = died
                    letter.id = .make()
                    letter.deathKey += "/late"
                    letter.replayCount = 1
                    letter.stamp = stamp
                    try await DeadLetters.insert([letter], on: pool)
                    #expect(try await DeadLetters.find(id, on: pool)?.status == .replayed)
                }
            }
        }
    }
}
