import Domain
import Postgres

/// The changes to a campaign's rows that acts, runner and journal are made of. Each expects that the caller's transaction
/// has locked the campaign's row.
extension ReplayCampaigns {
    /// What becomes of the dead letters whose campaign rows are moved.
    enum Fate {
        /// Still the campaign's.
        case keep
        /// Back to being dead, for operators to deal with.
        case dead
        /// Dealt with.
        case replayed(why: String)
    }

    /// Locks a campaign; nil if there is none. Counts are not read.
    static func lock(_ id: ReplayCampaignID, in transaction: Transaction) async throws -> ReplayCampaign? {
        let rows = try await transaction.query(
            "select \(ReplayCampaign.columns) from replay_campaigns where id = \(id.rawValue) for no key update")
        return try rows.first.map(ReplayCampaign.init)
    }

    /// Reads a campaign with its counts.
    static func find(_ id: ReplayCampaignID, in transaction: Transaction) async throws -> ReplayCampaign? {
        let rows = try await transaction.query(
            "select \(ReplayCampaign.columns) from replay_campaigns where id = \(id.rawValue)")
        guard let row = rows.first else { return nil }
        var campaign = try ReplayCampaign(row)
        campaign.progress = try await progress(of: id, in: transaction)
        return campaign
    }

    static func enter(
        _ phase: ReplayPhase, of id: ReplayCampaignID, reason: String?, raisesEpoch: Bool = false,
        in transaction: Transaction
    ) async throws {
        _ = try await transaction.query(
            """
            update replay_campaigns set phase = \(phase.rawValue), phase_since = now(), phase_reason = \(reason),
                epoch = epoch + \(raisesEpoch ? 1 : 0)
            where id = \(id.rawValue)
            """)
    }

    /// Moves rows of a campaign to another state, and their letters with them.
    ///
    /// - Parameter condition: on `replay_letters r`.
    /// - Returns: how many rows were moved.
    @discardableResult
    static func move(
        _ id: ReplayCampaignID, to state: ReplayLetter.State, where condition: SQL, detail: String? = nil,
        letters fate: Fate, in transaction: Transaction
    ) async throws -> Int {
        let isResolved = ![.waiting, .publishing, .published].contains(state)
        let resolvedAt: SQL = isResolved ? "now()" : "null"
        let publishedAt: SQL = state == .published ? "now()" : "r.published_at"
        let moved: SQL = """
            update replay_letters r set state = \(state.rawValue), resolved_at = \(resolvedAt),
                published_at = \(publishedAt), detail = \(detail)
            where r.campaign_id = \(id.rawValue) and \(condition) returning r.letter_id
            """
        let change: SQL
        switch fate {
        case .keep:
            return try await transaction.query(moved).affectedRows
        case .dead:
            change = "status = 'dead', campaign_id = null"
        case .replayed(let why):
            change = """
                status = 'replayed', resolved_at = now(), resolved_by = \("campaign " + id.rawValue),
                resolution_reason = \(why)
                """
        }
        return try await transaction.query(
            """
            with moved as (\(moved))
            update dead_letters set \(change) from moved
            where dead_letters.id = moved.letter_id and status = 'replaying' and campaign_id = \(id.rawValue)
            """
        ).affectedRows
    }

    /// Finds out which letters on the way have had their effect.
    @discardableResult
    static func resolveApplied(
        _ id: ReplayCampaignID, consumers: [String], in transaction: Transaction
    ) async throws -> Int {
        try await move(
            id, to: .done,
            where: """
                r.state in ('publishing', 'published') and \(ReplayRoute.isApplied("r", consumers: consumers))
                """, letters: .replayed(why: "its effect has happened"), in: transaction)
    }

    static func withdrawWaiting(_ id: ReplayCampaignID, in transaction: Transaction) async throws {
        try await move(id, to: .withdrawn, where: "r.state = 'waiting'", letters: .dead, in: transaction)
    }

    static func progress(of id: ReplayCampaignID, in transaction: Transaction) async throws -> ReplayProgress {
        let answers = try await transaction.pipeline([
            "select state, count(*) as count from replay_letters where campaign_id = \(id.rawValue) group by state",
            """
            select count(*) as judged, count(*) filter (where state = 'failed') as failed from (
                select state from replay_letters where campaign_id = \(id.rawValue) and state in ('done', 'failed')
                order by resolved_at desc limit \(ReplayRules.judgedOutcomes)) last
            """,
        ])
        var progress = ReplayProgress()
        for row in answers[0] {
            let count = try row.decode("count", as: Int.self)
            switch ReplayLetter.State(rawValue: try row.decode("state")) {
            case .waiting: progress.waiting = count
            case .publishing: progress.publishing = count
            case .published: progress.published = count
            case .applied: progress.applied = count
            case .done: progress.done = count
            case .failed: progress.failed = count
            case .recalled: progress.recalled = count
            case .withdrawn: progress.withdrawn = count
            case nil: throw PostgresError(.decodingFailed, "replay_letters holds a state that is none")
            }
        }
        progress.judged = try answers[1][0].decode("judged")
        progress.judgedFailed = try answers[1][0].decode("failed")
        return progress
    }
}
