package import Foundation
package import Postgres

/// Queues that an operator has stopped: no worker takes anything from them until they are resumed.
package enum QueuePauses {
    /// One stopped queue.
    package struct Pause: Hashable, Sendable {
        package var queue: String
        package var reason: String?
        package var by: String
        package var since: Date
    }

    /// Notified, with the queue's name, when a change commits.
    package static let channel = "queue_pauses"

    /// All stopped queues, by name.
    package static func all(on pool: PostgresPool) async throws -> [Pause] {
        try await pool.query("select queue, reason, paused_by, paused_at from queue_pauses order by queue").map { row in
            Pause(
                queue: try row.decode("queue"), reason: try row.decode("reason", as: String?.self),
                by: try row.decode("paused_by"), since: try row.decode("paused_at"))
        }
    }

    /// Stops a queue.
    ///
    /// - Returns: false if it was stopped already; the first reason stays then.
    package static func pause(
        _ queue: String, reason: String?, by who: String, in transaction: Transaction
    ) async throws -> Bool {
        let rows = try await transaction.query(
            """
            insert into queue_pauses (queue, reason, paused_by) values (\(queue), \(reason), \(who))
            on conflict on constraint queue_pauses_key do nothing returning pg_notify(\(channel), queue)::text
            """)
        return !rows.isEmpty
    }

    /// Lets a queue flow again.
    ///
    /// - Returns: false if it was not stopped.
    package static func resume(_ queue: String, in transaction: Transaction) async throws -> Bool {
        let rows = try await transaction.query(
            "delete from queue_pauses where queue = \(queue) returning pg_notify(\(channel), queue)::text")
        return !rows.isEmpty
    }
}
