package import Domain
import Foundation
import Messaging
package import Postgres

/// Replay campaigns as they are stored, and what operators do with them.
///
/// Every act commits together with its entry in the operator log. Transactions that change a campaign's letters lock the
/// campaign's row first, then letters, then `dead_letters`, and the log last.
package enum ReplayCampaigns {
    /// A campaign to be made.
    package struct Order: Sendable {
        /// The same id again makes no second campaign.
        package var id: ReplayCampaignID
        package var selection: ReplaySelection
        /// What was asked for, as a JSON object.
        package var selectionJSON: String
        package var rules: ReplayRules
        package var actor: String
        package var reason: String?
        package var requestHash: String?

        package init(
            id: ReplayCampaignID = .make(), selection: ReplaySelection, selectionJSON: String, rules: ReplayRules,
            actor: String, reason: String? = nil, requestHash: String? = nil
        ) {
            self.id = id
            self.selection = selection
            self.selectionJSON = selectionJSON
            self.rules = rules
            self.actor = actor
            self.reason = reason
            self.requestHash = requestHash
        }
    }

    package enum Creation: Hashable, Sendable {
        case created(ReplayCampaign)
        /// There was a campaign with this id; it is as it was.
        case existing(ReplayCampaign)
        /// No letter that is dead was selected, so there is no campaign.
        case nothingSelected
        /// More than `ReplayRules.maxLetters` were selected, so there is no campaign.
        case tooMany
    }

    /// Thrown to undo the transaction.
    private struct Undone: Error {
        let creation: Creation
    }

    /// Makes a campaign of the letters that match now; later ones never join it.
    ///
    /// - Throws: `PostgresError`.
    package static func create(_ order: Order, on pool: PostgresPool) async throws -> Creation {
        precondition(order.rules.faults.isEmpty, "rules are checked by whoever takes them")
        do {
            return try await pool.withTransaction { transaction in
                let rules = order.rules
                let campaign = order.id.rawValue
                let new = try await transaction.query(
                    """
                    insert into replay_campaigns (id, created_by, reason, selection, target_queue, canary, ramp, rate,
                        max_in_flight, abort_above, request_hash)
                    values (\(campaign), \(order.actor), \(order.reason), \(JSONText(order.selectionJSON)),
                        \(rules.targetQueue), \(rules.canary), \(rules.ramp), \(rules.rate), \(rules.maxInFlight),
                        \(rules.abortAbove), \(order.requestHash))
                    on conflict on constraint replay_campaigns_key do nothing returning id
                    """)
                if new.isEmpty, let old = try await find(order.id, in: transaction) {
                    throw Undone(creation: .existing(old))
                }
                let queue = ReplayRoute.queue(rules)
                // In the order of ids, in which everybody locks letters. The number tells this replay from all others of
                // the message, also from those that never arrived.
                let frozen = try await transaction.pipeline([
                    """
                    with chosen as materialized (
                        select id from dead_letters where \(order.selection.condition)
                        order by id limit \(ReplayRules.maxLetters + 1) for update
                    )
                    update dead_letters set status = 'replaying', campaign_id = \(campaign)
                    from chosen where dead_letters.id = chosen.id and dead_letters.status = 'dead'
                    """,
                    """
                    insert into replay_letters (campaign_id, letter_id, message_id, queue, consumer, replay_number)
                    select \(campaign), id, message_id, \(queue), \(ReplayRoute.consumer(of: queue)), 1 + greatest(
                        replay_count,
                        (select max(o.replay_count) from dead_letters o where o.message_id = dead_letters.message_id),
                        (select max(r.replay_number) from replay_letters r where r.message_id = dead_letters.message_id))
                    from dead_letters where campaign_id = \(campaign) and status = 'replaying'
                    """,
                ])[1].affectedRows
                if frozen == 0 { throw Undone(creation: .nothingSelected) }
                if frozen > ReplayRules.maxLetters { throw Undone(creation: .tooMany) }
                try await OperatorLog.append(
                    OperatorAct(
                        actor: order.actor, kind: .createReplayCampaign, subject: campaign, reason: order.reason,
                        details: JSONText(
                            "{\"letters\":\(frozen),\"selection\":\(order.selectionJSON)}")), in: transaction)
                guard let created = try await find(order.id, in: transaction) else {
                    throw PostgresError(.decodingFailed, "a campaign that was inserted is not there")
                }
                return .created(created)
            }
        } catch let undone as Undone {
            return undone.creation
        }
    }

    // MARK: Acts

    package enum ActResult: Hashable, Sendable {
        /// Done, or it was so already.
        case done(ReplayCampaign)
        /// The campaign is in a phase in which this cannot be done any more.
        case impossible(ReplayCampaign)
        case unknown
        /// A worker had a message of the campaign in hand for so long that the recall was given up; nothing has changed.
        case busy
    }

    /// Pauses, resumes, aborts or recalls a campaign. The runner follows within a second or so.
    ///
    /// A recall is complete when it returns: every letter that was on the way is done, or dead again and without effect
    /// wherever its message still is; only effects outside the database that had begun are still `published`, and they
    /// come to their end. It waits for workers that have a message of the campaign in hand.
    /// - Throws: `PostgresError`.
    package static func perform(
        _ act: ReplayAct, on id: ReplayCampaignID, by actor: String, reason: String? = nil, consumers: [String],
        pool: PostgresPool
    ) async throws -> ActResult {
        var tries = 0
        while true {
            do {
                return try await pool.withTransaction { transaction in
                    // Before any row, because it may have to wait, and the runner and the journal should not.
                    if act == .recall { try await ReplayFence.close(id, in: transaction) }
                    return try await perform(act, on: id, by: actor, reason, consumers, in: transaction)
                }
            } catch let error as PostgresError where error.code == .timeout && act == .recall {
                // Each try waits for the session's lock timeout, which is ten seconds.
                tries += 1
                if tries == 3 { return .busy }
            }
        }
    }

    private static func perform(
        _ act: ReplayAct, on id: ReplayCampaignID, by actor: String, _ reason: String?, _ consumers: [String],
        in transaction: Transaction
    ) async throws -> ActResult {
        guard try await lock(id, in: transaction) != nil, let campaign = try await find(id, in: transaction) else {
            return .unknown
        }
        guard let next = campaign.phase.after(act) else { return .impossible(campaign) }
        if next == campaign.phase { return .done(campaign) }
        switch act {
        case .pause, .resume: break
        case .abort: try await withdrawWaiting(id, in: transaction)
        case .recall: try await recall(id, consumers: consumers, in: transaction)
        }
        let why = act == .resume ? nil : reason ?? "\(act.rawValue) by \(actor)"
        try await enter(next, of: id, reason: why, raisesEpoch: act == .recall, in: transaction)
        guard let changed = try await find(id, in: transaction) else { return .unknown }
        let progress = changed.progress
        try await OperatorLog.append(
            OperatorAct(
                actor: actor, kind: act.logKind, subject: id.rawValue, reason: reason,
                details: JSONText(
                    """
                    {"done":\(progress.done),"failed":\(progress.failed),"in_flight":\(progress.inFlight),\
                    "recalled":\(progress.recalled),"waiting":\(progress.waiting),"withdrawn":\(progress.withdrawn)}
                    """)), in: transaction)
        return .done(changed)
    }

    /// Sorts out what is on the way, while no worker can begin or be at work on any of it.
    private static func recall(
        _ id: ReplayCampaignID, consumers: [String], in transaction: Transaction
    ) async throws {
        try await resolveApplied(id, consumers: consumers, in: transaction)
        try await move(
            id, to: .recalled,
            where: """
                state in ('publishing', 'published') and not exists (
                    select 1 from replay_begun b
                    where b.campaign_id = r.campaign_id and b.message_id = r.message_id)
                """, letters: .dead, in: transaction)
        try await withdrawWaiting(id, in: transaction)
    }

    // MARK: Looking

    /// One campaign; nil if there is none.
    package static func find(_ id: ReplayCampaignID, on pool: PostgresPool) async throws -> ReplayCampaign? {
        try await pool.withTransaction(isolation: .repeatableRead, readOnly: true) { transaction in
            try await find(id, in: transaction)
        }
    }

    /// Campaigns, the youngest first.
    ///
    /// - Parameters:
    ///   - before: only those that were made before this one.
    ///   - limit: 1 to 200.
    package static func list(
        before: ReplayCampaignID? = nil, isUnsettled: Bool = false, limit: Int = 50, on pool: PostgresPool
    ) async throws -> [ReplayCampaign] {
        try await pool.withTransaction(isolation: .repeatableRead, readOnly: true) { transaction in
            var query: SQL = "select \(ReplayCampaign.columns) from replay_campaigns where true"
            if let before {
                query +=
                    " and (created_at, id) < (select created_at, id from replay_campaigns where id = \(before.rawValue))"
            }
            if isUnsettled { query += " and settled_at is null" }
            query += " order by created_at desc, id desc limit \(min(max(limit, 1), 200))"
            var campaigns: [ReplayCampaign] = []
            for row in try await transaction.query(query) {
                var campaign = try ReplayCampaign(row)
                campaign.progress = try await progress(of: campaign.id, in: transaction)
                campaigns.append(campaign)
            }
            return campaigns
        }
    }

    /// What a campaign did with its letters, in the order of their ids.
    ///
    /// - Parameters:
    ///   - states: only letters in one of these; empty is all.
    ///   - after: the last letter of the page before.
    ///   - limit: 1 to 1000.
    package static func letters(
        of id: ReplayCampaignID, states: Set<ReplayLetter.State> = [], after: DeadLetterID? = nil, limit: Int = 100,
        on pool: PostgresPool
    ) async throws -> [ReplayLetter] {
        var query: SQL = "select \(ReplayLetter.columns) from replay_letters where campaign_id = \(id.rawValue)"
        if !states.isEmpty { query += " and state = any(\(states.map(\.rawValue)))" }
        if let after { query += " and letter_id > \(after.rawValue)" }
        query += " order by letter_id limit \(min(max(limit, 1), 1_000))"
        return try await pool.query(query).map(ReplayLetter.init)
    }
}

extension ReplayAct {
    fileprivate var logKind: OperatorAct.Kind { OperatorAct.Kind(rawValue: "replay_campaign.\(rawValue)") }
}

extension OperatorAct.Kind {
    package static let createReplayCampaign = OperatorAct.Kind(rawValue: "replay_campaign.create")
    /// A campaign that stopped itself because too much failed.
    package static let abortReplayCampaign = OperatorAct.Kind(rawValue: "replay_campaign.abort")
}
