import Domain
package import Messaging
package import Postgres

/// Keeps replayed messages that were recalled from having an effect.
///
/// A worker that is about to act on a replayed message takes the campaign's advisory lock, shared, until its transaction
/// ends; a recall takes it exclusively. So when a recall has the lock, every effect of the campaign has either committed,
/// with its receipt in the inbox, or not begun, and whatever begins later sees the new epoch. Row locks would do the same
/// to the row that the runner works with; and advisory locks keep their queue, so that a stream of workers cannot hold a
/// recall off.
package enum ReplayFence {
    package enum Verdict: Hashable, Sendable {
        case pass
        /// The campaign has been recalled: the message must have no effect.
        case recalled
        /// A recall is being made now: come back later.
        case undecided
    }

    /// "rpl" in ASCII; with a number for the campaign it makes the lock's key. Two campaigns with the same number only
    /// wait for each other.
    private static let lockClass: Int32 = 0x0072_706c

    /// Looks whether a message may have its effect in this transaction; before anything else is written for it.
    ///
    /// Never waits. A campaign that is not known lets everything pass: losing a message would be worse.
    /// - Throws: `PostgresError`.
    package static func check(_ stamp: ReplayStamp, in transaction: Transaction) async throws -> Verdict {
        // Two statements, because the second one's snapshot must be younger than the lock.
        let answers = try await transaction.pipeline([
            "select pg_try_advisory_xact_lock_shared(\(lockClass), hashtext(\(stamp.campaign.rawValue))) as is_ours",
            "select epoch from replay_campaigns where id = \(stamp.campaign.rawValue)",
        ])
        guard try answers[0][0].decode("is_ours", as: Bool.self) else { return .undecided }
        guard let epoch = try answers[1].first?.decode("epoch", as: Int.self) else { return .pass }
        return epoch == stamp.epoch ? .pass : .recalled
    }

    /// The same for an effect outside the database: if it may begin, that is noted, at once and for good. What has begun
    /// is not recalled any more.
    ///
    /// - Parameter holder: names this try among all.
    package static func begin(
        _ stamp: ReplayStamp, messageID: String, holder: String, on pool: PostgresPool
    ) async throws -> Verdict {
        try await pool.withTransaction { transaction in
            let verdict = try await check(stamp, in: transaction)
            let campaign = stamp.campaign.rawValue
            switch verdict {
            case .undecided: return .undecided
            case .recalled:
                // An earlier try that nobody came back from may have had its effect: it is brought to its end.
                let begun = try await transaction.query(
                    """
                    select 1 as begun from replay_begun
                    where campaign_id = \(campaign) and message_id = \(messageID) limit 1
                    """)
                return begun.isEmpty ? .recalled : .pass
            case .pass:
                _ = try await transaction.query(
                    """
                    insert into replay_begun (campaign_id, message_id, holder)
                    values (\(campaign), \(messageID), \(holder)) on conflict do nothing
                    """)
                return .pass
            }
        }
    }

    /// Notes that the effect which `begin` let begin has not happened.
    package static func withdraw(
        _ stamp: ReplayStamp, messageID: String, holder: String, on pool: PostgresPool
    ) async throws {
        _ = try await pool.query(
            """
            delete from replay_begun
            where campaign_id = \(stamp.campaign.rawValue) and message_id = \(messageID) and holder = \(holder)
            """)
    }

    /// Waits until no transaction acts on a message of the campaign, and keeps others from beginning until this one ends.
    ///
    /// - Throws: `PostgresError` `timeout` if a worker had one in hand for longer than the lock timeout.
    static func close(_ campaign: ReplayCampaignID, in transaction: Transaction) async throws {
        _ = try await transaction.query(
            "select pg_advisory_xact_lock(\(lockClass), hashtext(\(campaign.rawValue)))")
    }
}
