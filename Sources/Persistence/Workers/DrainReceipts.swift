package import Foundation
package import Postgres

/// What workers did with what they had in hand when they were told to stop.
package enum DrainReceipts {
    /// One stop of one worker. Every delivery in hand was finished, postponed, returned or left.
    package struct Receipt: Hashable, Sendable {
        package var worker: String
        package var role: String
        package var stoppedAt: Date
        package var inHand: Int
        package var finished: Int
        package var postponed: Int
        package var returned: Int
        package var left: Int
        package var milliseconds: Int

        package init(
            worker: String, role: String, stoppedAt: Date, inHand: Int, finished: Int, postponed: Int, returned: Int,
            left: Int, milliseconds: Int
        ) {
            self.worker = worker
            self.role = role
            self.stoppedAt = stoppedAt
            self.inHand = inHand
            self.finished = finished
            self.postponed = postponed
            self.returned = returned
            self.left = left
            self.milliseconds = milliseconds
        }
    }

    /// Stores a receipt.
    package static func insert(_ receipt: Receipt, on pool: PostgresPool) async throws {
        _ = try await pool.query(
            """
            insert into drain_receipts (worker, role, stopped_at, in_hand, finished, postponed, returned, left_behind,
                duration_ms)
            values (\(receipt.worker), \(receipt.role), \(receipt.stoppedAt), \(receipt.inHand), \(receipt.finished),
                \(receipt.postponed), \(receipt.returned), \(receipt.left), \(receipt.milliseconds))
            """)
    }

    /// The latest receipts, the latest first.
    package static func latest(_ limit: Int, on pool: PostgresPool) async throws -> [Receipt] {
        try await pool.query(
            """
            select worker, role, stopped_at, in_hand, finished, postponed, returned, left_behind, duration_ms
            from drain_receipts order by stopped_at desc, id desc limit \(limit)
            """
        ).map { row in
            Receipt(
                worker: try row.decode("worker"), role: try row.decode("role"),
                stoppedAt: try row.decode("stopped_at"), inHand: try row.decode("in_hand"),
                finished: try row.decode("finished"), postponed: try row.decode("postponed"),
                returned: try row.decode("returned"), left: try row.decode("left_behind"),
                milliseconds: try row.decode("duration_ms"))
        }
    }
}
