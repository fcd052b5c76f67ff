package import Foundation
package import Postgres

/// The running worker processes, as they report themselves.
package enum Workers {
    /// Who a worker is.
    package struct Identity: Hashable, Sendable {
        package var id: String
        package var role: String
        package var host: String
        package var pid: Int32
        package var version: String

        package init(id: String, role: String, host: String, pid: Int32, version: String) {
            self.id = id
            self.role = role
            self.host = host
            self.pid = pid
            self.version = version
        }
    }

    /// What a worker has done since it started.
    package struct Counts: Hashable, Sendable {
        package var handled = 0
        package var retried = 0
        package var deadLettered = 0
        /// Deliveries in hand at this moment.
        package var inFlight = 0
        /// When the longest retried message that it has sent back to a tier failed first.
        package var oldestRetryAt: Date?

        package init(
            handled: Int = 0, retried: Int = 0, deadLettered: Int = 0, inFlight: Int = 0, oldestRetryAt: Date? = nil
        ) {
            self.oldestRetryAt = oldestRetryAt
            self.handled = handled
            self.retried = retried
            self.deadLettered = deadLettered
            self.inFlight = inFlight
        }
    }

    /// A worker's row.
    package struct Record: Hashable, Sendable {
        package var identity: Identity
        package var counts: Counts
        package var startedAt: Date
        package var seenAt: Date
        /// Set by a worker that ended politely.
        package var stoppedAt: Date?
    }

    /// Says that a worker lives, or with `isStopping` that it has just ended.
    package static func report(
        _ identity: Identity, _ counts: Counts, isStopping: Bool = false, on pool: PostgresPool
    ) async throws {
        let stoppedAt: SQL = isStopping ? "now()" : "null"
        _ = try await pool.query(
            """
            insert into workers (id, role, host, pid, version, handled, retried, dead_lettered, in_flight, stopped_at,
                oldest_retry_at)
            values (\(identity.id), \(identity.role), \(identity.host), \(identity.pid), \(identity.version),
                \(counts.handled), \(counts.retried), \(counts.deadLettered), \(counts.inFlight), \(stoppedAt),
                \(counts.oldestRetryAt))
            on conflict on constraint workers_key do update set seen_at = now(), handled = excluded.handled,
                retried = excluded.retried, dead_lettered = excluded.dead_lettered, in_flight = excluded.in_flight,
                stopped_at = excluded.stopped_at, oldest_retry_at = excluded.oldest_retry_at
            """)
    }

    /// Workers seen within a time, the latest first; those that stopped within it are among them.
    package static func seen(within span: Duration, on pool: PostgresPool) async throws -> [Record] {
        let seconds = Double(span.components.seconds)
        let rows = try await pool.query(
            """
            select id, role, host, pid, version, handled, retried, dead_lettered, in_flight, started_at, seen_at,
                stopped_at, oldest_retry_at
            from workers where seen_at > now() - make_interval(secs => \(seconds)) order by seen_at desc
            """)
        return try rows.map { row in
            Record(
                identity: Identity(
                    id: try row.decode("id"), role: try row.decode("role"), host: try row.decode("host"),
                    pid: try row.decode("pid"), version: try row.decode("version")),
                counts: Counts(
                    handled: try row.decode("handled"), retried: try row.decode("retried"),
                    deadLettered: try row.decode("dead_lettered"), inFlight: try row.decode("in_flight"),
                    oldestRetryAt: try row.decode("oldest_retry_at", as: Date?.self)),
                startedAt: try row.decode("started_at"), seenAt: try row.decode("seen_at"),
                stoppedAt: try row.decode("stopped_at", as: Date?.self))
        }
    }
}
