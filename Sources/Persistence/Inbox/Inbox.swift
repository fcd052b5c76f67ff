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

    /// The statement of `insert`, for pipelines: one row if the claim is new, none if it was there.
    package static func claim(consumer: String, messageID: String) -> SQL {
        """
        insert into inbox (consumer, message_id) values (\(consumer), \(messageID))
        on conflict on constraint inbox_once do nothing returning message_id
        """
    }
}
