package import Domain
import Foundation
import Messaging
package import Postgres

/// The journal of messages that were given up, and what operators did about them.
package enum DeadLetters {
    static let columns: SQL = """
        id, death_key, queue, message_id, type, exchange, routing_key, correlation_id, properties::text as properties,
        headers::text as headers, body, reason, error_code, error_text, attempts::text as attempts, attempt_count,
        replay_count, died_at, status, resolved_at, resolved_by, resolution_reason, original_exchange,
        original_routing_key, handler, build, normalised_error, fingerprint, patch::text as patch, patched_at,
        patched_by, patch_reason, campaign_id
        """

    /// Writes letters and their groups in one round trip and one transaction; a death that is in the journal already adds
    /// nothing. The operation of a command that died ends with it.
    ///
    /// - Throws: `PostgresError`; nothing is written then.
    package static func insert(_ letters: [DeadLetter], on pool: PostgresPool) async throws {
        // In one order, so that journals that write the same groups wait for each other instead of deadlocking.
        let ordered = letters.sorted { ($0.fingerprint ?? "") < ($1.fingerprint ?? "") }
        _ = try await pool.pipeline(
            try ordered.map(insertion) + ReplayCampaigns.deaths(of: letters) + letters.map(Operations.death))
    }

    /// One row, the id, if the death is new.
    static func insertion(of letter: DeadLetter) throws -> SQL {
        let attempts = String(decoding: try WireJSON.encode(letter.attempts), as: UTF8.self)
        return """
            with letter as (
                insert into dead_letters (id, death_key, queue, message_id, type, exchange, routing_key,
                    correlation_id, properties, headers, body, reason, error_code, error_text, attempts,
                    attempt_count, replay_count, died_at, original_exchange, original_routing_key, handler, build,
                    normalised_error, fingerprint, status, resolved_at, resolved_by, resolution_reason, patch,
                    patched_at, patched_by, patch_reason, campaign_id)
                values (\(letter.id.rawValue), \(letter.deathKey), \(letter.queue), \(letter.messageID),
                    \(letter.type), \(letter.exchange), \(letter.routingKey), \(letter.correlationID as String?),
                    \(JSONText(letter.propertiesJSON)), \(JSONText(letter.headersJSON)), \(letter.body),
                    \(letter.reason), \(letter.errorCode as String?), \(letter.errorText as String?),
                    \(JSONText(attempts)), \(letter.attemptCount), \(letter.replayCount), \(letter.diedAt),
                    \(letter.originalExchange as String?), \(letter.originalRoutingKey as String?),
                    \(letter.handler as String?), \(letter.build as String?), \(letter.normalisedError as String?),
                    \(letter.fingerprint as String?), \(letter.status.rawValue), \(letter.resolvedAt as Date?),
                    \(letter.resolvedBy as String?), \(letter.resolutionReason as String?),
                    \(letter.patch?.document), \(letter.patchedAt as Date?), \(letter.patchedBy as String?),
                    \(letter.patchReason as String?), \(letter.campaignID as String?))
                on conflict on constraint dead_letters_death_once do nothing returning *
            ), counted as (
                \(counting(letter))
            )
            select id from letter
            """
    }

    /// Counts the row of `letter` in its group, making the group if it is new.
    static func counting(_ letter: DeadLetter) -> SQL {
        """
        insert into dead_letter_groups (fingerprint, cause, type, handler, build, error_code, normalised_error,
            first_seen, last_seen, letters, example)
        select fingerprint, \(letter.cause), type, coalesce(handler, 'unknown/' || queue), build,
            coalesce(error_code, reason), normalised_error, died_at, died_at, 1, id
        from letter where fingerprint is not null
        on conflict on constraint dead_letter_groups_key do update set
            first_seen = least(dead_letter_groups.first_seen, excluded.first_seen),
            last_seen = greatest(dead_letter_groups.last_seen, excluded.last_seen),
            letters = dead_letter_groups.letters + 1,
            example = greatest(dead_letter_groups.example, excluded.example)
        """
    }

    /// Computes what an older program did not: fingerprint and group of letters that have none.
    ///
    /// - Returns: how many letters that was.
    /// - Throws: `PostgresError`; what was done before stays.
    package static func fingerprintOlder(batchSize: Int = 200, on pool: PostgresPool) async throws -> Int {
        var count = 0
        while true {
            let done = try await pool.withTransaction { transaction in
                let letters = try await transaction.query(
                    """
                    select \(columns) from dead_letters where fingerprint is null
                    order by id limit \(batchSize) for update skip locked
                    """
                ).map(DeadLetter.init).map { letter in
                    var letter = letter
                    letter.takeFingerprint()
                    return letter
                }.sorted { ($0.fingerprint ?? "") < ($1.fingerprint ?? "") }
                _ = try await transaction.pipeline(
                    letters.map { letter in
                        """
                        with letter as (
                            update dead_letters set fingerprint = \(letter.fingerprint as String?),
                                normalised_error = \(letter.normalisedError as String?)
                            where id = \(letter.id.rawValue) returning *
                        )
                        \(counting(letter))
                        """
                    })
                return letters.count
            }
            count += done
            if done < batchSize { return count }
        }
    }

    /// One letter; nil if there is none.
    package static func find(_ id: DeadLetterID, on pool: PostgresPool) async throws -> DeadLetter? {
        let rows = try await pool.query("select \(columns) from dead_letters where id = \(id.rawValue)")
        return try rows.first.map(DeadLetter.init)
    }

    /// Several letters, in the order of their ids; those that are not there are left out.
    package static func find(_ ids: [DeadLetterID], in transaction: Transaction) async throws -> [DeadLetter] {
        let rows = try await transaction.query(
            "select \(columns) from dead_letters where id = any(\(ids.map(\.rawValue))) order by id")
        return try rows.map(DeadLetter.init)
    }
}
