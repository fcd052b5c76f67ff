import Foundation
import Persistence
import Postgres
import Settings

/// What `neff status` shows, as of one moment.
struct StatusSnapshot: Encodable, Sendable {
    struct Lag: Encodable, Sendable {
        let name: String
        let pending: Int
        let oldest: Date?
    }

    struct Worker: Encodable, Sendable {
        let id: String
        let role: String
        /// alive, silent (no sign of life for 30 s) or stopped.
        let state: String
        let seenAt: Date
        let handled: Int
        let retried: Int
        let deadLettered: Int
        let inFlight: Int
    }

    struct Pause: Encodable, Sendable {
        let queue: String
        let reason: String?
        let by: String
        let since: Date
    }

    /// An outside service that some worker cannot use at present.
    struct Outage: Encodable, Sendable {
        let worker: String
        let dependency: String
        /// open or half_open.
        let state: String
        let failures: Int
        let errorCode: String?
        let since: Date
        let nextTrialAt: Date?
    }

    /// What a worker that stopped did with what it had in hand.
    struct Drain: Encodable, Sendable {
        let worker: String
        let stoppedAt: Date
        let inHand: Int
        let finished: Int
        let postponed: Int
        let returned: Int
        let left: Int
        let deliveryCountsBurned: Int
        let ms: Int
    }

    struct DeadLetterGroup: Encodable, Sendable {
        let queue: String
        let count: Int
        let oldest: Date
        let lastReason: String
    }

    let takenAt: Date
    let queues: [QueueDepth]?
    let queuesUnknownBecause: String?
    let pauses: [Pause]
    let outages: [Outage]
    let lags: [Lag]
    /// By status, and only what is not done: what was sent is never forgotten, so counting it would take ever longer.
    let notifications: [String: Int]
    let workers: [Worker]
    let drains: [Drain]
    let deadLetters: [DeadLetterGroup]

    static func take(pool: PostgresPool) async throws -> StatusSnapshot {
        async let depths = QueueDepth.allOrReason()
        let lags = try await pool.query(
            """
            select 'Outbox' as name, count(*) as pending, min(created_at) as oldest from outbox
            where available_at <= now()
            union all
            select 'Spool', count(*), min(created_at) from spool
            union all
            select 'Operations', count(*), min(created_at) from operations where status = 'pending'
            """)
        let notifications = try await pool.query(
            """
            select status, count(*) as count from notifications where status in ('planned', 'sending') group by status
            union all
            select 'failed', count(*) from notifications where status = 'failed' having count(*) > 0
            """)
        let workers = try await pool.query(
            """
            select id, role, seen_at, handled, retried, dead_lettered, in_flight,
                case when stopped_at is not null then 'stopped'
                     when seen_at < now() - interval '30 seconds' then 'silent' else 'alive' end as state
            from workers where seen_at > now() - interval '1 hour' order by stopped_at is not null, role, id limit 100
            """)
        let letters = try await pool.query(
            """
            select queue, count(*) as count, min(died_at) as oldest,
                (array_agg(coalesce(error_code, reason) order by died_at desc))[1] as last_reason
            from dead_letters where status = 'dead' group by queue order by count(*) desc
            """)
        let drains = try await DrainReceipts.latest(5, on: pool)
        let pauses = try await QueuePauses.all(on: pool)
        let breakers = try await Breakers.alive(on: pool).filter { $0.report.state != "closed" }
        let (queues, reason) = await depths
        return StatusSnapshot(
            takenAt: Date(), queues: queues, queuesUnknownBecause: reason,
            pauses: pauses.map { Pause(queue: $0.queue, reason: $0.reason, by: $0.by, since: $0.since) },
            outages: breakers.map { worker, report in
                Outage(
                    worker: worker, dependency: report.dependency, state: report.state, failures: report.failures,
                    errorCode: report.errorCode, since: report.changedAt, nextTrialAt: report.retryAt)
            },
            lags: try lags.map { row in
                Lag(name: try row["name"], pending: try row["pending"], oldest: try row["oldest"])
            },
            notifications: Dictionary(
                uniqueKeysWithValues: try notifications.map { row in
                    (try row.decode("status", as: String.self), try row.decode("count", as: Int.self))
                }),
            workers: try workers.map { row in
                Worker(
                    id: try row["id"], role: try row["role"], state: try row["state"], seenAt: try row["seen_at"],
                    handled: try row["handled"], retried: try row["retried"], deadLettered: try row["dead_lettered"],
                    inFlight: try row["in_flight"])
            },
            drains: drains.map { receipt in
                Drain(
                    worker: receipt.worker, stoppedAt: receipt.stoppedAt, inHand: receipt.inHand,
                    finished: receipt.finished, postponed: receipt.postponed, returned: receipt.returned,
                    left: receipt.left, deliveryCountsBurned: receipt.returned + receipt.left,
                    ms: receipt.milliseconds)
            },
            deadLetters: try letters.map { row in
                DeadLetterGroup(
                    queue: try row["queue"], count: try row["count"], oldest: try row["oldest"],
                    lastReason: try row["last_reason"])
            })
    }
}
