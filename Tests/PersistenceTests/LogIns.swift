import Foundation
import Logging
import Persistence
import Postgres
import TestSupport

/// Names of log-ins that no other test has, so that roles, which belong to the whole server, do not clash.
func makePrefix() -> String { "neff_test_\(String(UInt64.random(in: 0 ... .max), radix: 36))_" }

/// Drops what a test made, whatever became of it.
func dropLogIns(_ prefix: String) async throws {
    let connection = try await PostgresConnection.connect(DatabaseServer().configuration, logger: .silent)
    for role in ServiceRole.allCases {
        _ = try await connection.query("drop role if exists \(identifier: prefix + role.rawValue)")
    }
    await connection.close()
}

/// A migrated database, through the log-in of a service.
func withLogIn(of role: ServiceRole, _ body: (PostgresPool) async throws -> Void) async throws {
    try await withScratchDatabase(migrations: Schema.migrations()) { administrator in
        let logins = ServiceLogins(prefix: makePrefix(), logger: .silent)
        let login = logins.login(of: role)
        let password = "p\(UInt64.random(in: 0 ... .max))"
        let outcome: Result<Void, any Error>
        do {
            _ = try await logins.apply(role, password: password, to: administrator.configuration)
            let configuration = administrator.configuration.withParameter("user", login)
                .withParameter("password", password)
            let pool = PostgresPool(
                configuration: configuration, size: 1, acquireTimeout: .seconds(30), logger: .silent)
            do {
                try await body(pool)
                await pool.shutDown()
            } catch {
                await pool.shutDown()
                throw error
            }
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        try await dropLogIns(String(login.dropLast(role.rawValue.count)))
        try outcome.get()
    }
}
