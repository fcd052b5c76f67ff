import Domain
package import Foundation
package import Postgres

/// What a campaign would take, for people to look at before they start one.
package struct ReplayPlan: Hashable, Sendable {
    /// Letters that are alike.
    package struct Group: Hashable, Sendable {
        /// Nil for letters that have none yet.
        package var fingerprint: String?
        package var type: String
        package var errorCode: String?
        package var count: Int
        package var oldest: Date
    }

    package var letters = 0
    /// Bodies only.
    package var bytes = 0
    package var oldest: Date?
    package var youngest: Date?
    /// Letters by the queue that they would go to.
    package var queues: [String: Int] = [:]
    /// The largest groups, at most `maxGroups`.
    package var groups: [Group] = []
    /// Their effect has happened: they would not be sent.
    package var applied = 0
    /// What they ask for is over. A job that is to be moved to another time never is.
    package var tooLate = 0
    /// They were replayed before and died again.
    package var replayedBefore = 0
    /// They would go out with an operator's patch.
    package var patched = 0
    /// Letters that were asked for by id and are not dead, or not there.
    package var notDead = 0

    package static let maxGroups = 50

    package init() {}

    /// Whether a campaign can take them all.
    package var fits: Bool { letters <= ReplayRules.maxLetters }
}

extension ReplayCampaigns {
    /// What a campaign would come to now. Changes nothing.
    ///
    /// - Parameter rules: only the target queue matters.
    /// - Throws: `PostgresError`.
    package static func plan(
        _ selection: ReplaySelection, _ rules: ReplayRules, on pool: PostgresPool
    ) async throws -> ReplayPlan {
        let queue = ReplayRoute.queue(rules)
        let chosen: SQL = """
            with chosen as (
                select message_id, octet_length(body) as size, died_at, type, error_code, replay_count, fingerprint,
                    patch is not null as is_patched,
                    type <> 'job.reschedule' and letter_ends_at(body) < now() as is_over, \(queue) as target, \(ReplayRoute.consumer(of: queue)) as consumer
                from dead_letters where \(selection.condition)
            )
            """
        // One transaction, so that the parts tell of one moment.
        return try await pool.withTransaction(isolation: .repeatableRead, readOnly: true) { transaction in
            let answers = try await transaction.pipeline([
                """
                \(chosen) select count(*) as letters, coalesce(sum(size), 0)::bigint as bytes, min(died_at) as oldest,
                    max(died_at) as youngest, count(*) filter (where replay_count > 0) as replayed,
                    count(*) filter (where is_patched) as patched, count(*) filter (where is_over) as ended,
                    count(*) filter (where \(ReplayRoute.isApplied("chosen", consumers: []))) as applied
                from chosen
                """,
                "\(chosen) select target, count(*) as count from chosen group by target",
                """
                \(chosen) select fingerprint, type, error_code, count(*) as count, min(died_at) as oldest
                from chosen group by 1, 2, 3 order by count(*) desc, 1, 2 limit \(ReplayPlan.maxGroups)
                """,
            ])
            var plan = ReplayPlan()
            let sums = answers[0][0]
            plan.letters = try sums["letters"]
            plan.bytes = try sums["bytes"]
            plan.oldest = try sums["oldest"]
            plan.youngest = try sums["youngest"]
            plan.replayedBefore = try sums["replayed"]
            plan.patched = try sums["patched"]
            plan.tooLate = try sums["ended"]
            plan.applied = try sums["applied"]
            for row in answers[1] { plan.queues[try row.decode("target")] = try row.decode("count", as: Int.self) }
            plan.groups = try answers[2].map { row in
                ReplayPlan.Group(
                    fingerprint: try row["fingerprint"], type: try row["type"], errorCode: try row["error_code"],
                    count: try row["count"], oldest: try row["oldest"])
            }
            if case .ids(let ids) = selection { plan.notDead = Set(ids).count - plan.letters }
            return plan
        }
    }
}
