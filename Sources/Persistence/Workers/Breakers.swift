package import Foundation
package import Postgres

/// The circuit breakers of the running workers, as these report them.
package enum Breakers {
    /// How one worker sees one outside service.
    package struct Report: Hashable, Sendable {
        package var dependency: String
        /// closed, open or half_open.
        package var state: String
        package var failures: Int
        /// Why the last of the failures failed.
        package var errorCode: String?
        package var changedAt: Date
        /// When the next trial may begin; nil unless open.
        package var retryAt: Date?

        package init(
            dependency: String, state: String, failures: Int, errorCode: String?, changedAt: Date, retryAt: Date?
        ) {
            self.dependency = dependency
            self.state = state
            self.failures = failures
            self.errorCode = errorCode
            self.changedAt = changedAt
            self.retryAt = retryAt
        }
    }

    /// Writes how a worker's breaker stands.
    package static func report(_ report: Report, worker: String, on pool: PostgresPool) async throws {
        _ = try await pool.query(
            """
            insert into breakers (worker, dependency, state, failures, error_code, changed_at, retry_at)
            values (\(worker), \(report.dependency), \(report.state), \(report.failures), \(report.errorCode),
                \(report.changedAt), \(report.retryAt))
            on conflict on constraint breakers_key do update set state = excluded.state, failures = excluded.failures,
                error_code = excluded.error_code, changed_at = excluded.changed_at, retry_at = excluded.retry_at,
                seen_at = now()
            """)
    }

    /// Forgets the breakers of a worker that ends.
    package static func remove(worker: String, on pool: PostgresPool) async throws {
        _ = try await pool.query("delete from breakers where worker = \(worker)")
    }

    /// The breakers of workers that have been heard of within the last 30 seconds.
    package static func alive(on pool: PostgresPool) async throws -> [(worker: String, report: Report)] {
        try await pool.query(
            """
            select worker, dependency, state, failures, error_code, changed_at, retry_at from breakers
            where seen_at > now() - interval '30 seconds' order by dependency, worker
            """
        ).map { row in
            (
                try row.decode("worker", as: String.self),
                Report(
                    dependency: try row.decode("dependency"), state: try row.decode("state"),
                    failures: try row.decode("failures"), errorCode: try row.decode("error_code", as: String?.self),
                    changedAt: try row.decode("changed_at"), retryAt: try row.decode("retry_at", as: Date?.self))
            )
        }
    }
}
