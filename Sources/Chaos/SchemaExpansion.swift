import Logging
import Postgres

extension Site {
    /// Applies what the migrations of a next version might do while this version works: columns, an index, a table.
    ///
    /// By the program's own migrator, under load and next to its locks; with a record of its own, since the real one would
    /// tell the workers that their program is too old.
    func expandSchema(round: Int) async throws {
        _ = try await pool.query("create schema if not exists next_version")
        let next = PostgresPool(
            configuration: try servers.database(databaseName).withParameter(
                "options", "-c search_path=next_version,public"),
            size: 1, logger: Logger(label: "chaos") { _ in SwiftLogNoOpLogHandler() })
        do {
            try await Migrator(migrations: (1...round).map(Self.expansion)).up(on: next)
        } catch {
            await next.shutDown()
            throw error
        }
        await next.shutDown()
    }

    private static func expansion(_ round: Int) -> Migration {
        let tables = ["consultations", "jobs", "outbox", "notifications", "operations", "calendly_invitees"]
        let statements =
            tables.map { "alter table \($0) add column expanded_\(round) text" } + [
                "create index expanded_\(round) on notifications (recipient, created_at)",
                "create table expanded_table_\(round) (id text primary key)",
            ]
        return Migration(
            version: round, name: "expansion_\(round)",
            sql: "-- breaking: no\n" + statements.map { $0 + ";\n" }.joined())
    }
}
