package import Postgres

/// The receipts that make an effect happen once: which consumer has handled which message.
package enum Inbox {
    /// Claims a message for the caller's transaction.
    ///
    /// While another transaction holds the same claim this waits for its end, so two workers with copies of one message
    /// take turns and the second one finds it done.
    /// - Returns: false if the message has been handled before; do nothing then.
    /// - Throws: `PostgresError`.
    package static func insert(consumer: String, messageID: String, in transaction: Transaction) async throws -> Bool {
        let rows = try await transaction.query(claim(consumer: consumer, messageID: messageID))
        return !rows.isEmpty
    }

    /// Claims several messages in one statement, in the order given.
    ///
    /// - Parameter messageIDs: each once.
    /// - Returns: the ids that are new; the others have been handled before.
    /// - Throws: `PostgresError`.
    package static func insert(
        consumer: String, messageIDs: [String], in transaction: Transaction
    ) async throws -> Set<String> {
        let rows = try await transaction.query(
            """
            insert into inbox (consumer, message_id) select \(consumer), unnest(\(messageIDs)::text[])
            on conflict on constraint inbox_once do nothing returning message_id
            """)
        return Set(try rows.map { try $0.decode("message_id", as: String.self) })
    }

    /// The statement of `insert`, for pipelines: one row if the claim is new, none if it was there.
    package static func claim(consumer: String, messageID: String) -> SQL {
        """
        insert into inbox (consumer, message_id) values (\(consumer), \(messageID))
        on conflict on constraint inbox_once do nothing returning message_id
        """
    }
}
