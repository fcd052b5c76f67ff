package import Domain
package import Foundation
package import Messaging
package import Postgres

extension OperatorAct.Kind {
    package static let editLetter = Self(rawValue: "dead_letter.edit")
    package static let undoLetterEdit = Self(rawValue: "dead_letter.undo_edit")
    package static let discardLetter = Self(rawValue: "dead_letter.discard")
    package static let restoreLetter = Self(rawValue: "dead_letter.restore")
    package static let replayLetter = Self(rawValue: "dead_letter.replay")
    package static let exportLetters = Self(rawValue: "dead_letter.export")
    package static let importLetters = Self(rawValue: "dead_letter.import")
    package static let purgeLetters = Self(rawValue: "dead_letter.purge")
    package static let revealLetter = Self(rawValue: "dead_letter.reveal")
}

/// What operators do to letters. Each act and its entry in the operator log are one transaction.
extension DeadLetters {
    /// Marks letters as given up for good; only those that are dead.
    ///
    /// - Returns: the ids that were changed.
    /// - Throws: `PostgresError`; nothing is changed then.
    package static func discard(
        _ ids: [DeadLetterID], reason: String, by who: String, on pool: PostgresPool
    ) async throws -> [DeadLetterID] {
        try await change(ids, from: [.dead], .discardLetter, reason: reason, by: who, on: pool) { locked in
            """
            update dead_letters set status = 'discarded', resolved_at = now(), resolved_by = \(who),
                resolution_reason = \(reason)
            where id = any(\(locked.map(\.rawValue)))
            """
        }
    }

    /// Takes a discard back: the letters are dead again.
    ///
    /// - Returns: the ids that were changed; letters that were not discarded are passed over.
    /// - Throws: `PostgresError`; nothing is changed then.
    package static func restore(
        _ ids: [DeadLetterID], reason: String?, by who: String, on pool: PostgresPool
    ) async throws -> [DeadLetterID] {
        try await change(ids, from: [.discarded], .restoreLetter, reason: reason, by: who, on: pool) { locked in
            """
            update dead_letters set status = 'dead', resolved_at = null, resolved_by = null, resolution_reason = null
            where id = any(\(locked.map(\.rawValue)))
            """
        }
    }

    private static func change(
        _ ids: [DeadLetterID], from allowed: [DeadLetter.Status], _ kind: OperatorAct.Kind, reason: String?,
        by who: String, on pool: PostgresPool, _ update: @Sendable ([DeadLetterID]) -> SQL
    ) async throws -> [DeadLetterID] {
        try await pool.withTransaction { transaction in
            let locked = try await lock(ids, in: allowed, transaction).map(\.id)
            guard !locked.isEmpty else { return [] }
            _ = try await transaction.query(update(locked))
            try await OperatorLog.append(
                locked.map { OperatorAct(actor: who, kind: kind, subject: $0.rawValue, reason: reason) },
                in: transaction)
            return locked
        }
    }

    /// Locks letters that have one of the states, in the order of their ids.
    private static func lock(
        _ ids: [DeadLetterID], in allowed: [DeadLetter.Status], _ transaction: Transaction
    ) async throws -> [DeadLetter] {
        try await transaction.query(
            """
            select \(columns) from dead_letters
            where id = any(\(ids.map(\.rawValue))) and status = any(\(allowed.map(\.rawValue))) order by id for update
            """
        ).map(DeadLetter.init)
    }

    // MARK: Editing

    /// How an edit ended.
    package enum EditResult: Hashable, Sendable {
        case edited(DeadLetter)
        /// There is no such letter.
        case missing
        /// It is not dead: it was resolved, or a campaign holds it.
        case notDead(DeadLetter.Status)
        /// Somebody else has edited it since it was read.
        case changedMeanwhile
    }

    /// Puts a patch beside the original of a dead letter in place of the one there, or takes it away.
    ///
    /// - Parameters:
    ///   - patch: from the original to the new body; nil takes the patch away.
    ///   - former: the patch that the editor saw.
    /// - Throws: `JSONPatch.Failure` if the patch cannot be applied to the original; `PostgresError`.
    package static func edit(
        _ id: DeadLetterID, patch: JSONPatch?, replacing former: JSONPatch?, reason: String?, by who: String,
        on pool: PostgresPool
    ) async throws -> EditResult {
        try await pool.withTransaction { transaction in
            guard let letter = try await lock([id], in: DeadLetter.Status.allCases, transaction).first else {
                return .missing
            }
            guard letter.status == .dead else { return .notDead(letter.status) }
            guard letter.patch == former else { return .changedMeanwhile }
            _ = try patch?.apply(toBody: letter.body)
            let rows = try await transaction.query(
                """
                update dead_letters set patch = \(patch?.document), patched_at = \(patch == nil ? nil : Date() as Date?),
                    patched_by = \(patch == nil ? nil : who), patch_reason = \(patch == nil ? nil : reason)
                where id = \(id.rawValue) returning \(columns)
                """)
            // Places and kinds of changes; the values are in the patch and may be personal data.
            let places = (patch?.operations ?? []).map { JSONValue.string($0.summary) }
            let details = JSONValue.object(["changes": .array(places)]).encoded()
            try await OperatorLog.append(
                OperatorAct(
                    actor: who, kind: patch == nil ? .undoLetterEdit : .editLetter, subject: id.rawValue,
                    reason: reason,
                    details: JSONText(String(decoding: details, as: UTF8.self))),
                in: transaction)
            return .edited(try DeadLetter(rows[0]))
        }
    }

    // MARK: Forgetting

    /// How many letters `purge` would delete.
    ///
    /// - Throws: `PostgresError`.
    package static func purgeable(resolvedBefore instant: Date, on pool: PostgresPool) async throws -> Int {
        try await pool.query("select count(*) as count from dead_letters where resolved_at < \(instant)")[0]
            .decode("count")
    }

    /// Deletes letters that were resolved before an instant. Their groups, the operator log and the inbox's receipts stay.
    ///
    /// - Returns: how many were deleted.
    /// - Throws: `PostgresError`; nothing is deleted then.
    package static func purge(
        resolvedBefore instant: Date, reason: String?, by who: String, on pool: PostgresPool
    ) async throws -> Int {
        try await pool.withTransaction { transaction in
            let rows = try await transaction.query(
                """
                with gone as (delete from dead_letters where resolved_at < \(instant) returning id, status, fingerprint)
                select count(*) as count, count(*) filter (where status = 'discarded') as discarded,
                    count(distinct fingerprint) as groups, min(id) as first, max(id) as last
                from gone
                """)
            let count = try rows[0].decode("count", as: Int.self)
            guard count > 0 else { return 0 }
            let details = JSONValue.object([
                "letters": .number(String(count)),
                "discarded": .number(String(try rows[0].decode("discarded", as: Int.self))),
                "groups": .number(String(try rows[0].decode("groups", as: Int.self))),
                "first": .string(try rows[0].decode("first")), "last": .string(try rows[0].decode("last")),
                "resolved_before": .string(Instant.text(instant)),
            ])
            try await OperatorLog.append(
                OperatorAct(
                    actor: who, kind: .purgeLetters, subject: "dead_letters", reason: reason,
                    details: JSONText(String(decoding: details.encoded(), as: UTF8.self))),
                in: transaction)
            return count
        }
    }

    /// Writes letters of a file, and one entry of the operator log for all of them.
    ///
    /// Campaigns hear of the deaths of what they had sent, as from the journal.
    /// - Returns: the ids of those whose death was not in the journal.
    /// - Throws: `PostgresError`; nothing is written then.
    package static func `import`(
        _ letters: [DeadLetter], from source: String, by who: String, on pool: PostgresPool
    ) async throws -> [DeadLetterID] {
        let ordered = letters.sorted { ($0.fingerprint ?? "", $0.id) < ($1.fingerprint ?? "", $1.id) }
        return try await pool.withTransaction { transaction in
            let rows = try await transaction.pipeline(
                try ordered.map(insertion) + ReplayCampaigns.deaths(of: ordered)
            ).prefix(ordered.count)
            let added = try rows.flatMap { $0 }.compactMap { DeadLetterID(rawValue: try $0.decode("id")) }
            let details = JSONValue.object([
                "letters": .number(String(letters.count)), "new": .number(String(added.count)),
            ])
            try await OperatorLog.append(
                OperatorAct(
                    actor: who, kind: .importLetters, subject: source,
                    details: JSONText(String(decoding: details.encoded(), as: UTF8.self))),
                in: transaction)
            return added
        }
    }
}
