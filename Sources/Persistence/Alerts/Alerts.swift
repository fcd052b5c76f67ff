package import Domain
package import Foundation
package import Postgres

package enum AlertTag: Identified { package static let identifierPrefix = "alt" }
package typealias AlertID = Identifier<AlertTag>

/// The alerts: raised when a condition begins, cleared when it ends, and nothing in between.
package enum Alerts {
    /// What one look at the conditions changed.
    package struct Change: Hashable, Sendable {
        package var raised: [Alert] = []
        package var cleared: [Alert] = []
        /// How many are open now, by kind; kinds without any are 0.
        package var open: [Alert.Kind: Int] = [:]
    }

    private struct Condition: Hashable {
        var kind: Alert.Kind
        var key: String
        var summary: String
    }

    /// "neffalrt" in ASCII.
    private static let lockKey = 0x6e65_6666_616c_7274
    private static let columns: SQL = "id, kind, key, summary, raised_at, cleared_at"

    /// Compares the conditions with the open alerts, and raises and clears what differs. Watchers take turns.
    ///
    /// - Throws: `PostgresError`; nothing is changed then.
    package static func update(
        _ thresholds: AlertThresholds, now: Date = Date(), on pool: PostgresPool
    ) async throws -> Change {
        try await pool.withTransaction { transaction in
            _ = try await transaction.query("select pg_advisory_xact_lock(\(lockKey))")
            let open = try await transaction.query(
                "select \(columns) from alerts where cleared_at is null order by raised_at"
            ).compactMap(Alert.init)
            var conditions = try await newFingerprints(transaction)
            conditions += try await rates(thresholds, now: now, open: open, transaction)
            conditions += try await retries(thresholds, now: now, transaction)
            conditions += try await retention(thresholds, now: now, transaction)

            func isOpen(_ condition: Condition) -> Bool {
                open.contains { $0.kind == condition.kind && $0.key == condition.key }
            }
            func isOver(_ alert: Alert) -> Bool {
                !conditions.contains { $0.kind == alert.kind && $0.key == alert.key }
            }
            var change = Change()
            for condition in conditions where !isOpen(condition) {
                let rows = try await transaction.query(
                    """
                    insert into alerts (id, kind, key, summary, details, raised_at)
                    values (\(AlertID.make(at: now).rawValue), \(condition.kind.rawValue), \(condition.key),
                        \(condition.summary), '{}', \(now))
                    returning \(columns)
                    """)
                change.raised += try rows.compactMap(Alert.init)
            }
            for alert in open where isOver(alert) {
                let rows = try await transaction.query(
                    "update alerts set cleared_at = greatest(\(now), raised_at) where id = \(alert.id) returning \(columns)"
                )
                change.cleared += try rows.compactMap(Alert.init)
            }
            for kind in Alert.Kind.allCases {
                func count(_ alerts: [Alert]) -> Int { alerts.count(where: { $0.kind == kind }) }
                change.open[kind] = count(open) + count(change.raised) - count(change.cleared)
            }
            return change
        }
    }

    /// Alerts, the youngest first.
    ///
    /// - Parameter limit: 1 to 500.
    /// - Throws: `PostgresError`.
    package static func list(
        includesCleared: Bool = false, limit: Int = 100, on pool: PostgresPool
    ) async throws -> [Alert] {
        try await pool.query(
            """
            select \(columns) from alerts where \(includesCleared) or cleared_at is null
            order by raised_at desc, id desc limit \(min(max(limit, 1), 500))
            """
        ).compactMap(Alert.init)
    }

    // MARK: Conditions

    /// Groups with unresolved letters that were never announced, and those that are still open.
    ///
    /// A fingerprint is new once: what has been cleared is not raised again when another letter comes.
    private static func newFingerprints(_ transaction: Transaction) async throws -> [Condition] {
        try await transaction.query(
            """
            select g.fingerprint, coalesce(g.error_code, '') as code, g.normalised_error, g.type, g.handler
            from dead_letter_groups g
            where exists (select from dead_letters l where l.fingerprint = g.fingerprint and l.resolved_at is null)
                and not exists (
                    select from alerts a
                    where a.kind = \(Alert.Kind.newFingerprint.rawValue) and a.key = g.fingerprint
                        and a.cleared_at is not null)
            order by g.first_seen limit 200
            """
        ).map { row in
            let error = try [row.decode("code", as: String.self), row.decode("normalised_error", as: String.self)]
                .filter { !$0.isEmpty }.joined(separator: ": ")
            return Condition(
                kind: .newFingerprint, key: try row.decode("fingerprint"),
                summary:
                    "a new kind of dead letter: \(try row.decode("type", as: String.self)) at \(try row.decode("handler", as: String.self)): \(error)"
            )
        }
    }

    /// An alert that is open stays so until the rate has fallen to half, so that it does not come and go.
    private static func rates(
        _ thresholds: AlertThresholds, now: Date, open: [Alert], _ transaction: Transaction
    ) async throws -> [Condition] {
        let minutes = thresholds.rateWindow.components.seconds / 60
        let since = now.addingTimeInterval(-Double(thresholds.rateWindow.components.seconds))
        return try await transaction.query(
            "select queue, count(*) as count from dead_letters where died_at > \(since) group by queue order by queue"
        ).compactMap { row in
            let (queue, count) = (try row.decode("queue", as: String.self), try row.decode("count", as: Int.self))
            let isOpen = open.contains { $0.kind == .letterRate && $0.key == queue }
            guard count >= thresholds.letters || isOpen && count * 2 > thresholds.letters else { return nil }
            return Condition(
                kind: .letterRate, key: queue, summary: "\(count) dead letters of \(queue) within \(minutes) minutes")
        }
    }

    private static func retries(
        _ thresholds: AlertThresholds, now: Date, _ transaction: Transaction
    ) async throws -> [Condition] {
        let limit = now.addingTimeInterval(-Double(thresholds.retryAge.components.seconds))
        return try await transaction.query(
            """
            select role, min(oldest_retry_at) as oldest from workers
            where stopped_at is null and seen_at > \(now.addingTimeInterval(-60)) and oldest_retry_at < \(limit)
            group by role order by role
            """
        ).map { row in
            let role = try row.decode("role", as: String.self)
            let minutes = Int(now.timeIntervalSince(try row.decode("oldest")) / 60)
            return Condition(
                kind: .retryAge, key: role, summary: "a message of \(role) has been retried for \(minutes) minutes")
        }
    }

    private static func retention(
        _ thresholds: AlertThresholds, now: Date, _ transaction: Transaction
    ) async throws -> [Condition] {
        guard let retention = thresholds.retention else { return [] }
        let age = Double((retention - thresholds.retentionNotice).components.seconds)
        let count: Int = try await transaction.query(
            "select count(*) as count from dead_letters where resolved_at < \(now.addingTimeInterval(-max(0, age)))"
        )[0].decode("count")
        guard count > 0 else { return [] }
        let days = thresholds.retentionNotice.components.seconds / 86_400
        return [
            Condition(
                kind: .retention, key: "dead_letters",
                summary:
                    "the retention deletes \(count) resolved letters within \(days) days; export what is still wanted")
        ]
    }
}
