package import Postgres

/// Messages that are being tried alone because an earlier consumer of theirs may have crashed.
///
/// A row is there from just before such a try until its settlement, so what a new process finds was in the hand of one
/// that died. That tells the message that kills from those that only travelled with it.
package enum Suspects {
    /// Notes that a try begins, at once and for good.
    ///
    /// - Returns: earlier tries that nobody came back from.
    package static func begin(consumer: String, messageID: String, on pool: PostgresPool) async throws -> Int {
        let rows = try await pool.query(
            """
            insert into suspects (consumer, message_id, tries) values (\(consumer), \(messageID), 1)
            on conflict on constraint suspects_key do update set tries = suspects.tries + 1, tried_at = now()
            returning tries
            """)
        return try rows[0].decode("tries", as: Int.self) - 1
    }

    /// Notes that the try was survived.
    package static func end(consumer: String, messageID: String, on pool: PostgresPool) async throws {
        _ = try await pool.query(
            "delete from suspects where consumer = \(consumer) and message_id = \(messageID)")
    }

    /// Tries that nobody came back from, for those of the messages that have any.
    package static func tries(
        consumer: String, messageIDs: [String], on pool: PostgresPool
    ) async throws -> [String: Int] {
        let rows = try await pool.query(
            "select message_id, tries from suspects where consumer = \(consumer) and message_id = any(\(messageIDs))")
        var tries: [String: Int] = [:]
        for row in rows { tries[try row.decode("message_id")] = try row.decode("tries", as: Int.self) }
        return tries
    }
}
