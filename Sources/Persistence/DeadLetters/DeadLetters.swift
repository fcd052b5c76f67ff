package import Domain
import Messaging
package import Postgres

/// The journal of messages that were given up, and what operators did about them.
package enum DeadLetters {
    /// Which letters to list; nil filters nothing.
    package struct Filter: Hashable, Sendable {
        package var queue: String?
        package var type: String?
        package var status: DeadLetter.Status?

        package init(queue: String? = nil, type: String? = nil, status: DeadLetter.Status? = .dead) {
            self.queue = queue
            self.type = type
            self.status = status
        }

        /// The filter as a condition on `dead_letters`.
        var condition: SQL {
            var condition: SQL = "true"
            if let queue { condition += " and queue = \(queue)" }
            if let type { condition += " and type = \(type)" }
            if let status { condition += " and status = \(status.rawValue)" }
            return condition
        }
    }

    /// A page of letters, the youngest first.
    package struct Page: Sendable {
        package var letters: [DeadLetter]
        /// Where the next page begins; nil if this is the last one.
        package var next: DeadLetterID?
    }

    private static let columns: SQL = """
        id, death_key, queue, message_id, type, exchange, routing_key, correlation_id, properties::text as properties,
        headers::text as headers, body, reason, error_code, error_text, attempts::text as attempts, attempt_count,
        replay_count, died_at, status, resolved_at, resolved_by, resolution_reason, original_exchange,
        original_routing_key, handler, build, normalised_error, fingerprint, patch::text as patch, patched_at,
        patched_by, patch_reason, campaign_id
        """

    /// Writes letters in one round trip and one transaction; a death that is in the journal already adds nothing.
    ///
    /// - Throws: `PostgresError`; nothing is written then.
    package static func insert(_ letters: [DeadLetter], on pool: PostgresPool) async throws {
        let insertions: [SQL] = try letters.map { letter in
            let attempts = String(decoding: try WireJSON.encode(letter.attempts), as: UTF8.self)
            return """
                insert into dead_letters (id, death_key, queue, message_id, type, exchange, routing_key,
                    correlation_id, properties, headers, body, reason, error_code, error_text, attempts,
                    attempt_count, replay_count, died_at)
                values (\(letter.id.rawValue), \(letter.deathKey), \(letter.queue), \(letter.messageID),
                    \(letter.type), \(letter.exchange), \(letter.routingKey), \(letter.correlationID as String?),
                    \(JSONText(letter.propertiesJSON)), \(JSONText(letter.headersJSON)), \(letter.body),
                    \(letter.reason), \(letter.errorCode as String?), \(letter.errorText as String?),
                    \(JSONText(attempts)), \(letter.attemptCount), \(letter.replayCount), \(letter.diedAt))
                on conflict on constraint dead_letters_death_once do nothing
                """
        }
        _ = try await pool.pipeline(insertions + ReplayCampaigns.deaths(of: letters))
    }

    /// Letters that match, the youngest first.
    ///
    /// - Parameters:
    ///   - cursor: the `next` of the page before.
    ///   - limit: 1 to 500.
    package static func list(
        _ filter: Filter = Filter(), after cursor: DeadLetterID? = nil, limit: Int = 50, on pool: PostgresPool
    ) async throws -> Page {
        let limit = min(max(limit, 1), 500)
        var query: SQL = "select \(columns) from dead_letters where \(filter.condition)"
        // Ids sort by the time of making.
        if let cursor { query += " and id < \(cursor.rawValue)" }
        query += " order by id desc limit \(limit + 1)"
        let letters = try await pool.query(query).map(DeadLetter.init)
        let page = Array(letters.prefix(limit))
        return Page(letters: page, next: letters.count > limit ? page.last?.id : nil)
    }

    /// One letter; nil if there is none.
    package static func find(_ id: DeadLetterID, on pool: PostgresPool) async throws -> DeadLetter? {
        let rows = try await pool.query("select \(columns) from dead_letters where id = \(id.rawValue)")
        return try rows.first.map(DeadLetter.init)
    }

    /// Marks letters as given up for good; only those that are still dead.
    ///
    /// - Returns: the ids that were changed.
    package static func discard(
        _ ids: [DeadLetterID], reason: String, by who: String, on pool: PostgresPool
    ) async throws -> [DeadLetterID] {
        let rows = try await pool.query(
            """
            update dead_letters set status = 'discarded', resolved_at = now(), resolved_by = \(who),
                resolution_reason = \(reason)
            where id = any(\(ids.map(\.rawValue))) and status = 'dead' returning id
            """)
        return try rows.compactMap { row in DeadLetterID(rawValue: try row.decode("id")) }
    }

    /// Several letters, in the order of their ids; those that are not there are left out.
    package static func find(_ ids: [DeadLetterID], in transaction: Transaction) async throws -> [DeadLetter] {
        let rows = try await transaction.query(
            "select \(columns) from dead_letters where id = any(\(ids.map(\.rawValue))) order by id")
        return try rows.map(DeadLetter.init)
    }
}
