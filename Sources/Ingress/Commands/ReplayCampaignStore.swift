package import Domain
package import Persistence
package import Postgres

/// Replay campaigns, as the API needs them.
package protocol ReplayCampaignStore: Sendable {
    func plan(_ selection: ReplaySelection, _ rules: ReplayRules) async throws -> ReplayPlan
    func create(_ order: ReplayCampaigns.Order) async throws -> ReplayCampaigns.Creation
    func find(_ id: ReplayCampaignID) async throws -> ReplayCampaign?
    func list(before: ReplayCampaignID?, isUnsettled: Bool, limit: Int) async throws -> [ReplayCampaign]
    func letters(
        of id: ReplayCampaignID, states: Set<ReplayLetter.State>, after: DeadLetterID?, limit: Int
    ) async throws -> [ReplayLetter]
    func perform(
        _ act: ReplayAct, on id: ReplayCampaignID, by actor: String, reason: String?
    ) async throws -> ReplayCampaigns.ActResult
}

/// Replay campaigns as they are in the database.
package struct StoredReplayCampaigns: ReplayCampaignStore {
    private let pool: PostgresPool
    private let consumers: [String]

    /// - Parameter consumers: every consumer that writes to the inbox.
    package init(pool: PostgresPool, consumers: [String]) {
        self.pool = pool
        self.consumers = consumers
    }

    package func plan(_ selection: ReplaySelection, _ rules: ReplayRules) async throws -> ReplayPlan {
        try await ReplayCampaigns.plan(selection, rules, on: pool)
    }

    package func create(_ order: ReplayCampaigns.Order) async throws -> ReplayCampaigns.Creation {
        try await ReplayCampaigns.create(order, on: pool)
    }

    package func find(_ id: ReplayCampaignID) async throws -> ReplayCampaign? {
        try await ReplayCampaigns.find(id, on: pool)
    }

    package func list(before: ReplayCampaignID?, isUnsettled: Bool, limit: Int) async throws -> [ReplayCampaign] {
        try await ReplayCampaigns.list(before: before, isUnsettled: isUnsettled, limit: limit, on: pool)
    }

    package func letters(
        of id: ReplayCampaignID, states: Set<ReplayLetter.State>, after: DeadLetterID?, limit: Int
    ) async throws -> [ReplayLetter] {
        try await ReplayCampaigns.letters(of: id, states: states, after: after, limit: limit, on: pool)
    }

    package func perform(
        _ act: ReplayAct, on id: ReplayCampaignID, by actor: String, reason: String?
    ) async throws -> ReplayCampaigns.ActResult {
        try await ReplayCampaigns.perform(
            act, on: id, by: actor, reason: reason, consumers: consumers, pool: pool)
    }
}
