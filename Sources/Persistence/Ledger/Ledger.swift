package import Foundation
package import Postgres

/// The record of every message that the system has answered for, against which `LedgerBalance` holds what became of them.
package enum Ledger {
    /// Where a message came into the system.
    package enum Source: String, Hashable, Sendable {
        /// The broker confirmed it before the ingress answered.
        case ingress
        /// The ingress stored it while the broker was away, and a relay published it.
        case spool
        /// It followed from an effect, and a relay published it.
        case outbox
    }

    /// One message, once.
    package struct Entry: Hashable, Sendable {
        package var messageID: String
        package var routingKey: String
        /// Who must handle it, by the names that they have in the inbox.
        package var consumers: [String]
        package var acceptedAt: Date
        package var source: Source

        package init(
            messageID: String, routingKey: String, consumers: [String], acceptedAt: Date, source: Source
        ) {
            self.messageID = messageID
            self.routingKey = routingKey
            self.consumers = consumers
            self.acceptedAt = acceptedAt
            self.source = source
        }
    }

    /// Adds entries in the caller's transaction. One message may be added several times; it counts once.
    package static func append(_ entries: [Entry], in transaction: Transaction) async throws {
        guard !entries.isEmpty else { return }
        _ = try await transaction.query(insertion(entries))
    }

    /// Adds entries in a transaction of its own.
    package static func append(_ entries: [Entry], on pool: PostgresPool) async throws {
        guard !entries.isEmpty else { return }
        _ = try await pool.query(insertion(entries))
    }

    private static func insertion(_ entries: [Entry]) -> SQL {
        """
        insert into ledger (message_id, routing_key, consumers, accepted_at, source)
        select id, key, consumers, 'epoch'::timestamptz + microseconds * interval '1 microsecond', source
        from unnest(\(entries.map(\.messageID))::text[], \(entries.map(\.routingKey))::text[],
            \(entries.map { $0.consumers.joined(separator: ",") })::text[],
            \(entries.map { Int(($0.acceptedAt.timeIntervalSince1970 * 1e6).rounded()) }),
            \(entries.map(\.source.rawValue))::text[]) as entry (id, key, consumers, microseconds, source)
        """
    }

    /// Forgets entries older than an instant whose message is done, given up for good, or handled by nobody's duty; what
    /// is not accounted for stays.
    ///
    /// - Returns: how many were removed.
    package static func close(before: Date, on pool: PostgresPool) async throws -> Int {
        let rows = try await pool.query(
            """
            with open as (
                select distinct ledger.message_id
                from ledger cross join lateral string_to_table(consumers, ',') as consumer
                where accepted_at < \(before)
                    and not exists (
                        select from inbox where inbox.consumer = consumer.consumer
                            and inbox.message_id = ledger.message_id)
                    and not exists (
                        select from ledger_write_offs as off
                        where off.consumer in (consumer.consumer, 'unrouted') and off.message_id = ledger.message_id)
            ), removed as (
                delete from ledger where accepted_at < \(before) and message_id not in (select message_id from open)
                returning 1
            )
            select count(*) as count from removed
            """)
        return try rows[0].decode("count")
    }
}
