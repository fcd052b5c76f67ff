package import Domain
import Messaging
package import Postgres

/// What the runner does with a campaign. Nothing here relies on there being one runner: a second one at work would only
/// send letters again under the same ids.
extension ReplayCampaigns {
    /// Letters to be sent now, and what the step did beside that.
    package struct Work: Sendable {
        package var campaign: ReplayCampaign
        package var letters: [(letter: DeadLetter, number: Int)]
        /// Whether any row has changed.
        package var hasProgressed: Bool
    }

    /// Takes the leases that are free or have run out, and renews those that are ours and half gone.
    ///
    /// - Parameter holder: names this process among all.
    /// - Returns: the campaigns that are ours for now.
    /// - Throws: `PostgresError`.
    package static func takeLeases(
        for span: Duration, holder: String, on pool: PostgresPool
    ) async throws -> [ReplayCampaignID] {
        let seconds = span / .seconds(1)
        let rows = try await pool.pipeline([
            """
            update replay_campaigns set lease_holder = \(holder), lease_until = now() + make_interval(secs => \(seconds))
            where id in (
                select id from replay_campaigns where settled_at is null and (
                    lease_until is null or lease_until < now()
                    or lease_holder = \(holder) and lease_until < now() + make_interval(secs => \(seconds / 2)))
                for no key update skip locked)
            """,
            """
            select id from replay_campaigns
            where settled_at is null and lease_holder = \(holder) and lease_until > now() order by created_at
            """,
        ])[1]
        return try rows.compactMap { row in ReplayCampaignID(rawValue: try row.decode("id")) }
    }

    /// Gives all leases of a process back, so that another one need not wait for them to run out.
    package static func releaseLeases(of holder: String, on pool: PostgresPool) async throws {
        _ = try await pool.query(
            """
            update replay_campaigns set lease_holder = null, lease_until = null
            where settled_at is null and lease_holder = \(holder)
            """)
    }

    /// Takes note of outcomes, decides how the campaign goes on, and takes the letters that are to be sent now.
    ///
    /// Letters that were taken earlier and of which nobody knows whether the broker has them are among those to send.
    /// - Parameters:
    ///   - limit: the most new letters to take, such as the rate allows.
    ///   - consumers: all there are in the inbox.
    /// - Returns: nil if the campaign is not ours any more.
    /// - Throws: `PostgresError`.
    package static func step(
        _ id: ReplayCampaignID, holder: String, limit: Int, consumers: [String], on pool: PostgresPool
    ) async throws -> Work? {
        try await pool.withTransaction { transaction in
            guard var campaign = try await lock(id, in: transaction), campaign.owner == holder,
                campaign.settledAt == nil
            else { return nil }
            var changes = try await resolveApplied(id, consumers: consumers, in: transaction)
            if campaign.phase.hasEnded { try await wrapUp(id, in: transaction) }
            campaign.progress = try await progress(of: id, in: transaction)
            let step = ReplayStep(after: campaign.phase, campaign.rules, campaign.progress)
            if step.phase != campaign.phase {
                changes += 1
                try await enter(step.phase, of: id, reason: step.reason, in: transaction)
                campaign.phase = step.phase
                if step.phase.hasEnded { try await wrapUp(id, in: transaction) }
            }
            let isSending = [.canary, .ramping, .running].contains(step.phase)
            if isSending, step.room > 0, limit > 0 {
                changes += try await claim(id, min(step.room, limit), consumers: consumers, in: transaction)
            }
            let letters = isSending ? try await claimed(id, in: transaction) : []
            if step.phase.hasEnded, campaign.progress.inFlight == 0 { try await settle(id, in: transaction) }
            if let reason = step.reason {
                try await OperatorLog.append(
                    OperatorAct(
                        actor: "neff", kind: .abortReplayCampaign, subject: id.rawValue, reason: reason,
                        details: JSONText(
                            "{\"done\":\(campaign.progress.done),\"failed\":\(campaign.progress.failed)}")),
                    in: transaction)
            }
            return Work(campaign: campaign, letters: letters, hasProgressed: changes > 0)
        }
    }

    /// Takes waiting letters, the oldest first. Those whose effect has happened need not be sent.
    private static func claim(
        _ id: ReplayCampaignID, _ count: Int, consumers: [String], in transaction: Transaction
    ) async throws -> Int {
        let next: SQL = """
            r.letter_id in (select letter_id from replay_letters
                where campaign_id = \(id.rawValue) and state = 'waiting' order by letter_id limit \(count))
            """
        let applied = try await move(
            id, to: .applied, where: "\(next) and \(ReplayRoute.isApplied("r", consumers: consumers))",
            letters: .replayed(why: "its effect had happened before the replay"), in: transaction)
        return try await move(id, to: .publishing, where: next, letters: .keep, in: transaction) + applied
    }

    private static func claimed(
        _ id: ReplayCampaignID, in transaction: Transaction
    ) async throws -> [(letter: DeadLetter, number: Int)] {
        let rows = try await transaction.query(
            """
            select letter_id, replay_number from replay_letters
            where campaign_id = \(id.rawValue) and state = 'publishing' order by letter_id limit 1000
            """)
        if rows.isEmpty { return [] }
        var numbers: [String: Int] = [:]
        for row in rows { numbers[try row.decode("letter_id")] = try row.decode("replay_number", as: Int.self) }
        let letters = try await DeadLetters.find(
            numbers.keys.compactMap(DeadLetterID.init(rawValue:)), in: transaction)
        return letters.compactMap { letter in numbers[letter.id.rawValue].map { (letter, $0) } }
    }

    /// In a campaign that has ended nothing is sent any more. What may or may not be with the broker counts as being there:
    /// then its outcome is awaited, or it is recalled.
    private static func wrapUp(_ id: ReplayCampaignID, in transaction: Transaction) async throws {
        try await withdrawWaiting(id, in: transaction)
        try await move(id, to: .published, where: "r.state = 'publishing'", letters: .keep, in: transaction)
    }

    private static func settle(_ id: ReplayCampaignID, in transaction: Transaction) async throws {
        _ = try await transaction.pipeline([
            """
            update replay_campaigns set settled_at = now(), lease_holder = null, lease_until = null
            where id = \(id.rawValue)
            """,
            "delete from replay_begun where campaign_id = \(id.rawValue)",
        ])
    }

    /// What sending a letter came to.
    package enum Sending: Hashable, Sendable {
        case confirmed
        /// The broker does not have it.
        case notSent
        /// It may or may not be with the broker: it is sent again.
        case unknown
        /// It cannot be sent as it is, for this reason; it is dead again.
        case impossible(String)
    }

    /// Takes note of what sending letters came to. A campaign that was stopped meanwhile keeps what the stop decided.
    ///
    /// - Throws: `PostgresError`; the letters are sent again then.
    package static func record(
        _ results: [DeadLetterID: Sending], of id: ReplayCampaignID, on pool: PostgresPool
    ) async throws {
        var byResult: [Sending: [String]] = [:]
        for (letter, result) in results { byResult[result, default: []].append(letter.rawValue) }
        try await pool.withTransaction { transaction in
            guard try await lock(id, in: transaction) != nil else { return }
            for (result, letters) in byResult {
                let mine: SQL = "r.state = 'publishing' and r.letter_id = any(\(letters))"
                switch result {
                case .confirmed: try await move(id, to: .published, where: mine, letters: .keep, in: transaction)
                case .notSent: try await move(id, to: .waiting, where: mine, letters: .keep, in: transaction)
                case .unknown: break
                case .impossible(let why):
                    try await move(id, to: .failed, where: mine, detail: why, letters: .dead, in: transaction)
                }
            }
        }
    }

    // MARK: The journal's part

    /// What the journal adds when it writes letters that a campaign had sent: they failed. In the letters' transaction, so
    /// that there is never both a dead letter and a replay without an outcome.
    ///
    /// A recall that came between the death and its journalling had made the old letter dead again; the new one takes its
    /// place.
    static func deaths(of letters: [DeadLetter]) -> [SQL] {
        let stamped = letters.compactMap { letter in letter.stamp.map { (letter, $0) } }
        if stamped.isEmpty { return [] }
        let campaigns = Set(stamped.map(\.1.campaign.rawValue)).sorted()
        let locking: SQL = """
            select id from replay_campaigns where id = any(\(campaigns)) order by id for no key update
            """
        let deaths: [SQL] = stamped.map { letter, stamp in death(of: letter, stamp.campaign.rawValue) }
        return [locking] + deaths
    }

    private static func death(of letter: DeadLetter, _ campaign: String) -> SQL {
        """
        with failed as (
            update replay_letters r set state = 'failed', resolved_at = now(),
                detail = \(letter.errorCode ?? letter.reason),
                successor_id = (select id from dead_letters where death_key = \(letter.deathKey))
            where r.campaign_id = \(campaign) and r.message_id = \(letter.messageID)
                and r.replay_number = \(letter.replayCount) and (r.queue = \(letter.queue) or r.consumer is null)
                and r.state in ('publishing', 'published', 'recalled', 'withdrawn')
            returning r.letter_id
        )
        update dead_letters set status = 'replayed', campaign_id = \(campaign), resolved_at = now(),
            resolved_by = \("campaign " + campaign), resolution_reason = 'it died again, as another letter'
        from failed where dead_letters.id = failed.letter_id
            and (status = 'dead' or status = 'replaying' and campaign_id = \(campaign))
        """
    }
}
