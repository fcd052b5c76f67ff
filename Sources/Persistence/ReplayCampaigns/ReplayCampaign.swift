package import Domain
package import Foundation
package import Messaging
import Postgres

/// A stored order to send dead letters again.
package struct ReplayCampaign: Hashable, Sendable {
    package var id: ReplayCampaignID
    package var createdAt: Date
    package var createdBy: String
    package var reason: String?
    /// What was asked for, as JSON; which letters that came to is frozen.
    package var selectionJSON: String
    package var rules: ReplayRules
    package var phase: ReplayPhase
    package var phaseSince: Date
    /// Why it is in the phase, where somebody or something decided so.
    package var phaseReason: String?
    /// Raised by a recall.
    package var epoch: Int
    /// Since when nothing of it is on the way any more.
    package var settledAt: Date?
    /// The process that runs it; nil if none does now.
    package var owner: String?
    package var progress = ReplayProgress()
    /// Digest of the API request that made it; nil if none did.
    package var requestHash: String?

    static let columns: SQL = """
        id, created_at, created_by, reason, selection::text as selection, target_queue, canary, ramp, rate,
        max_in_flight, abort_above, phase, phase_since, phase_reason, epoch, settled_at,
        case when lease_until > now() then lease_holder end as owner, request_hash
        """

    init(_ row: Row) throws {
        guard let id = ReplayCampaignID(rawValue: try row.decode("id")),
            let phase = ReplayPhase(rawValue: try row.decode("phase"))
        else { throw PostgresError(.decodingFailed, "replay_campaigns holds an id or a phase that is none") }
        self.id = id
        self.phase = phase
        createdAt = try row.decode("created_at")
        createdBy = try row.decode("created_by")
        reason = try row.decode("reason", as: String?.self)
        selectionJSON = try row.decode("selection")
        rules = ReplayRules(
            targetQueue: try row.decode("target_queue", as: String?.self), canary: try row.decode("canary"),
            ramp: try row.decode("ramp", as: [Int].self), rate: try row.decode("rate", as: Double?.self),
            maxInFlight: try row.decode("max_in_flight"), abortAbove: try row.decode("abort_above"))
        phaseSince = try row.decode("phase_since")
        phaseReason = try row.decode("phase_reason", as: String?.self)
        epoch = try row.decode("epoch")
        settledAt = try row.decode("settled_at", as: Date?.self)
        owner = try row.decode("owner", as: String?.self)
        requestHash = try row.decode("request_hash", as: String?.self)
    }

    /// The mark that its messages carry now.
    package var stamp: ReplayStamp { ReplayStamp(campaign: id, epoch: epoch) }
}

/// What a campaign did with one letter.
package struct ReplayLetter: Hashable, Sendable {
    package enum State: String, Hashable, Sendable, CaseIterable {
        case waiting, publishing, published, applied, done, failed, recalled, withdrawn
    }

    package var id: DeadLetterID
    package var messageID: String
    package var queue: String
    package var state: State
    package var publishedAt: Date?
    package var resolvedAt: Date?
    package var detail: String?
    /// The dead letter that it became again.
    package var successor: DeadLetterID?

    static let columns: SQL = """
        letter_id, message_id, queue, state, published_at, resolved_at, detail, successor_id
        """

    init(_ row: Row) throws {
        guard let id = DeadLetterID(rawValue: try row.decode("letter_id")),
            let state = State(rawValue: try row.decode("state"))
        else { throw PostgresError(.decodingFailed, "replay_letters holds an id or a state that is none") }
        self.id = id
        self.state = state
        messageID = try row.decode("message_id")
        queue = try row.decode("queue")
        publishedAt = try row.decode("published_at", as: Date?.self)
        resolvedAt = try row.decode("resolved_at", as: Date?.self)
        detail = try row.decode("detail", as: String?.self)
        successor = try row.decode("successor_id", as: String?.self).flatMap(DeadLetterID.init(rawValue:))
    }
}
