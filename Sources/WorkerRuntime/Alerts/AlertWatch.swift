package import Foundation
package import Logging
import Metrics
package import Persistence
package import Postgres
import ServiceLifecycle

/// Looks at the conditions for alerts, and deletes letters whose retention is over.
///
/// Each alert is a row, a line in the log and a count in the metrics when it begins, and another line when it ends. The
/// database remembers what is open, so restarts and second watchers announce nothing twice.
package struct AlertWatch: Service {
    private let thresholds: AlertThresholds
    private let pool: PostgresPool
    private let interval: Duration
    private let logger: Logger

    package init(
        _ thresholds: AlertThresholds, pool: PostgresPool, interval: Duration = .seconds(15), logger: Logger
    ) {
        self.thresholds = thresholds
        self.pool = pool
        self.interval = interval
        self.logger = logger
    }

    /// Looks again and again until graceful shutdown.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await look()
                try? await Task.sleep(for: interval)
            }
        }
    }

    /// Looks once. While the database is away nothing is raised and nothing cleared.
    package func look(now: Date = Date()) async {
        do {
            let change = try await Alerts.update(thresholds, now: now, on: pool)
            for alert in change.raised {
                Counter(label: "alerts.raised", dimensions: [("kind", alert.kind.rawValue)]).increment()
                logger.warning("alert", metadata: Self.metadata(alert))
            }
            for alert in change.cleared { logger.notice("alert is over", metadata: Self.metadata(alert)) }
            for (kind, count) in change.open {
                Gauge(label: "alerts.open", dimensions: [("kind", kind.rawValue)]).record(count)
            }
            try await applyRetention(now: now)
        } catch {
            logger.info("alerts not looked at", metadata: [LogKey.errorDetail: "\(error)"])
        }
    }

    private func applyRetention(now: Date) async throws {
        guard let retention = thresholds.retention else { return }
        let instant = now.addingTimeInterval(-Double(retention.components.seconds))
        let count = try await DeadLetters.purge(
            resolvedBefore: instant, reason: "older than the retention", by: "retention", on: pool)
        if count > 0 { logger.notice("resolved letters purged", metadata: [LogKey.count: "\(count)"]) }
    }

    private static func metadata(_ alert: Alert) -> Logger.Metadata {
        [
            "alert.kind": "\(alert.kind.rawValue)", "alert.key": "\(alert.key)", "alert.summary": "\(alert.summary)",
            "alert.raised_at": "\(alert.raisedAt.formatted(Date.ISO8601FormatStyle()))",
        ]
    }
}
