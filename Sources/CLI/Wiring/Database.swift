import Logging
import Persistence
import Postgres
import Settings

/// PostgreSQL for a command that runs and ends.
enum Database {
    /// Opens a small pool, checks that the schema fits this program, and closes the pool afterwards.
    ///
    /// - Parameters:
    ///   - purpose: shown by PostgreSQL as the application's name, after `neff-`.
    ///   - key: the setting that holds the address.
    ///   - checksSchema: false for what must work on any schema, such as `migrate` and `doctor`.
    static func with<Result: Sendable>(
        _ purpose: String, at key: SettingKey<String> = Keys.databaseURL, checksSchema: Bool = true,
        _ body: (PostgresPool) async throws -> Result
    ) async throws -> Result {
        let settings = try Settings.load()
        var configuration = try PostgresConfiguration(
            url: settings.value(key), applicationName: "neff-\(purpose)")
        configuration.connectTimeout = .seconds(5)
        let pool = PostgresPool(
            configuration: configuration, size: 4, acquireTimeout: .seconds(6),
            logger: Logger(label: "neff") { _ in
                SwiftLogNoOpLogHandler()
            })
        do {
            if checksSchema { try await Migrator(migrations: Schema.migrations()).verify(on: pool) }
            let result = try await body(pool)
            await pool.shutDown()
            return result
        } catch {
            await pool.shutDown()
            throw error
        }
    }
}
