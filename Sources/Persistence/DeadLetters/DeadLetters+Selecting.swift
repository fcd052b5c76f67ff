package import Domain
package import Foundation
package import Postgres

extension DeadLetters {
    /// Which letters are meant; nil filters nothing.
    package struct Filter: Hashable, Sendable {
        package var queue: String?
        package var type: String?
        package var status: DeadLetter.Status?
        /// A `DeadLetterReason`, or the broker's.
        package var reason: String?
        package var errorCode: String?
        package var fingerprint: String?
        package var diedBefore: Date?
        package var diedAfter: Date?
        /// Occurs in the error or the body; case does not matter.
        package var text: String?
        /// An SQL/JSON path that finds something in the body, such as `$.customer.name ? (@ == "D. Reyes")`, or a
        /// condition that holds, such as `$.sequence > 3`.
        package var jsonPath: String?

        package init(queue: String? = nil, type: String? = nil, status: DeadLetter.Status? = .dead) {
            self.queue = queue
            self.type = type
            self.status = status
        }

        /// What follows `where` in a statement on `dead_letters`.
        package var condition: SQL {
            var sql: SQL = "true"
            if let queue { sql += " and queue = \(queue)" }
            if let type { sql += " and type = \(type)" }
            if let status { sql += " and status = \(status.rawValue)" }
            if let reason { sql += " and reason = \(reason)" }
            if let errorCode { sql += " and error_code = \(errorCode)" }
            if let fingerprint { sql += " and fingerprint = \(fingerprint)" }
            if let diedBefore { sql += " and died_at < \(diedBefore)" }
            if let diedAfter { sql += " and died_at >= \(diedAfter)" }
            if let text {
                // Bytes are compared where the body is text in no encoding that the server knows.
                let needle = text.lowercased()
                sql += """
                     and (strpos(lower(coalesce(error_text, '')), \(needle)) > 0
                        or strpos(lower(coalesce(letter_document(body)::text, encode(body, 'escape'))), \(needle)) > 0)
                    """
            }
            if let jsonPath {
                sql += """
                     and exists (
                        select from jsonb_path_query(letter_document(body), \(jsonPath)::jsonpath, '{}', true) as found
                        where found not in ('false', 'null'))
                    """
            }
            return sql
        }
    }

    /// A page of letters, the youngest first.
    package struct Page: Sendable {
        package var letters: [DeadLetter]
        /// Where the next page begins; nil if this is the last one.
        package var next: DeadLetterID?

        package init(letters: [DeadLetter], next: DeadLetterID?) {
            self.letters = letters
            self.next = next
        }
    }

    /// Letters that match, the youngest first. Reads the journal alone, never a queue.
    ///
    /// - Parameters:
    ///   - cursor: the `next` of the page before.
    ///   - limit: 1 to 500.
    /// - Throws: `PostgresError`; its `sqlState` has class 42 if the path of the filter is none.
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

    /// The ids of the letters that match, the oldest first.
    ///
    /// - Throws: as `list`.
    package static func ids(matching filter: Filter, on pool: PostgresPool) async throws -> [DeadLetterID] {
        try await pool.query("select id from dead_letters where \(filter.condition) order by id")
            .compactMap { DeadLetterID(rawValue: try $0.decode("id")) }
    }
}
