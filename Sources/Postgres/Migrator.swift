package import FoundationEssentials

/// Brings a database to the schema a program was built for, one migration after another, never back.
///
/// Table `schema_migrations` holds a row for each applied migration with the SHA-256 of its file. Any number of
/// programs may start at once: an advisory lock lets one of them work while the others wait and then find nothing to do.
package struct Migrator: Sendable {
    /// A migration as the database and the program see it.
    package struct Entry: Sendable, Equatable {
        package enum State: String, Sendable {
            case applied
            case pending
            /// The file is not what was applied.
            case changed
            /// The database has it and the program does not: from a newer program, or a lost file.
            case unknown
        }

        package let version: Int
        package let name: String
        package let state: State
        package let appliedAt: Date?
        package let isBreaking: Bool?
    }

    /// What happens during `up`.
    package enum Progress: Sendable, Equatable {
        /// Asking for the lock; another program may hold it for long.
        case waitingForLock
        case applying(version: Int, name: String)
        /// A lock could not be had in time, or stood crosswise to another's: undone, to be tried again.
        case busy(version: Int, name: String)
        case applied(version: Int, name: String, Duration)
    }

    /// Any number will do, as long as every version of the program uses the same one: "neffmigr" in ASCII.
    private static let lockKey = 0x6e65_6666_6d69_6772

    /// How often a migration is begun that finds tables locked. Under load an attempt lasts `lockTimeout` at most.
    private static let tries = 40

    package let migrations: [Migration]
    /// How long a migration waits for the lock of one table. Everybody else queues behind such a wait.
    package let lockTimeout: Duration

    /// - Parameter migrations: in any order; they are checked when they are used.
    package init(migrations: [Migration], lockTimeout: Duration = .seconds(2)) {
        self.migrations = migrations.sorted { $0.version < $1.version }
        self.lockTimeout = lockTimeout
    }

    /// The newest version this program knows; 0 if none.
    package var latestVersion: Int { migrations.last?.version ?? 0 }

    /// What is applied and what is not, by version. Changes nothing.
    ///
    /// - Throws: `invalidMigration` if the program's own list is malformed; errors of the database.
    package func status(on pool: PostgresPool) async throws -> [Entry] {
        try validate()
        return try await pool.withConnection { connection in try await entries(on: connection) }
    }

    /// Fails unless the database has exactly the schema of this program. Changes nothing.
    ///
    /// - Throws: `schemaTooNew`, `schemaTooOld`, `invalidMigration`; errors of the database.
    package func verify(on pool: PostgresPool) async throws {
        let entries = try await status(on: pool)
        try check(entries)
        let pending = entries.filter { $0.state == .pending }
        guard pending.isEmpty else {
            throw PostgresError(
                .schemaTooOld,
                "the database lacks \(pending.count) migration(s), from version \(pending[0].version): run `migrate up`"
            )
        }
    }

    /// Applies what is pending, each migration in a transaction of its own together with its row.
    ///
    /// Works on a connection of its own without a statement timeout. A migration that meets locked tables, or deadlocks with
    /// the program at work, is undone and begun again after a pause, up to 40 times.
    /// - Parameter progress: called as things happen.
    /// - Returns: what was applied.
    /// - Throws: `schemaTooNew`, `invalidMigration`; errors of the database, with everything before the failed
    ///   migration kept.
    @discardableResult
    package func up(
        on pool: PostgresPool, progress: @Sendable (Progress) -> Void = { _ in }
    ) async throws -> [Migration] {
        try validate()
        var configuration = pool.configuration
        configuration.statementTimeout = nil
        configuration.lockTimeout = nil
        configuration.idleInTransactionTimeout = nil
        let connection = try await PostgresConnection.connect(
            configuration, threads: pool.threads, logger: pool.logger)
        do {
            let applied = try await up(on: connection, progress: progress)
            await connection.close()
            return applied
        } catch {
            // The session's end gives the lock back, whatever went wrong.
            await connection.close()
            throw error
        }
    }

    private func up(
        on connection: PostgresConnection, progress: @Sendable (Progress) -> Void
    ) async throws -> [Migration] {
        progress(.waitingForLock)
        _ = try await connection.query("select pg_advisory_lock(\(Self.lockKey))")
        _ = try await connection.query(
            """
            create table if not exists schema_migrations (
                version integer constraint schema_migrations_pkey primary key,
                name text not null,
                checksum text not null,
                applied_at timestamptz not null default now(),
                duration_ms bigint not null default 0
            )
            """)
        let entries = try await entries(on: connection)
        try check(entries)
        let pending = Set(entries.filter { $0.state == .pending }.map(\.version))
        var applied: [Migration] = []
        for migration in migrations where pending.contains(migration.version) {
            progress(.applying(version: migration.version, name: migration.name))
            let duration = try await applyAgainWhileBusy(migration, on: connection, progress: progress)
            progress(.applied(version: migration.version, name: migration.name, duration))
            applied.append(migration)
        }
        return applied
    }

    /// A migration takes locks in its own order and the program at work in another, so under load a deadlock is no fault of
    /// either; nor is a long transaction that holds a table.
    private func applyAgainWhileBusy(
        _ migration: Migration, on connection: PostgresConnection, progress: @Sendable (Progress) -> Void
    ) async throws -> Duration {
        for _ in 1..<Self.tries {
            do {
                return try await apply(migration, on: connection)
            } catch let error as PostgresError
                where error.sqlState == .deadlockDetected || error.sqlState == .lockNotAvailable
            {
                progress(.busy(version: migration.version, name: migration.name))
                // Those who queued behind it go first.
                try await Task.sleep(for: .milliseconds(.random(in: 200...600)))
            }
        }
        return try await apply(migration, on: connection)
    }

    /// The row comes first: should the lock ever fail, the second starter stops at the primary key.
    private func apply(_ migration: Migration, on connection: PostgresConnection) async throws -> Duration {
        let clock = ContinuousClock()
        let start = clock.now
        do {
            try await connection.withTransaction { transaction in
                _ = try await transaction.pipeline([
                    "select set_config('lock_timeout', \(String(Int(lockTimeout / .milliseconds(1)))), true)",
                    """
                    insert into schema_migrations (version, name, checksum)
                    values (\(migration.version), \(migration.name), \(Self.checksum(of: migration)))
                    """,
                ])
                try await transaction.script(migration.sql)
                let elapsed = (clock.now - start).components
                let milliseconds = Int(elapsed.seconds * 1000 + elapsed.attoseconds / 1_000_000_000_000_000)
                _ = try await transaction.query(
                    """
                    update schema_migrations set duration_ms = \(milliseconds) where version = \(migration.version)
                    """)
            }
        } catch let error as PostgresError where error.code != .invalidMigration {
            var named = error
            named.message = "migration \(migration.version) \(migration.name): \(error.message)"
            throw named
        }
        return clock.now - start
    }

    /// Computed by the server, which spares this target a dependency.
    private static func checksum(of migration: Migration) -> SQL {
        "encode(sha256(\(Array(migration.sql.utf8))), 'hex')"
    }

    // MARK: Comparing

    private func entries(on connection: PostgresConnection) async throws -> [Entry] {
        let found = try await connection.query("select to_regclass('schema_migrations')::text as name")
        let name: String? = try found[0]["name"]
        guard name != nil else { return migrations.map { entry($0, .pending) } }

        let rows = try await connection.query("select version, name, checksum, applied_at from schema_migrations")
        let checksums = try await connection.pipeline(migrations.map { "select \(Self.checksum(of: $0)) as checksum" })
        var expected: [Int: String] = [:]
        for (migration, rows) in zip(migrations, checksums) {
            expected[migration.version] = try rows[0].decode("checksum", as: String.self)
        }
        var states: [Int: Entry] = [:]
        for row in rows {
            let (version, name, checksum, appliedAt) = try row.decode(Int.self, String.self, String.self, Date.self)
            let known = migrations.first { $0.version == version }
            let state: Entry.State =
                known == nil ? .unknown : expected[version] == checksum ? .applied : .changed
            states[version] = Entry(
                version: version, name: name, state: state, appliedAt: appliedAt, isBreaking: known?.isBreaking)
        }
        for migration in migrations where states[migration.version] == nil {
            states[migration.version] = entry(migration, .pending)
        }
        return states.values.sorted { $0.version < $1.version }
    }

    private func entry(_ migration: Migration, _ state: Entry.State) -> Entry {
        Entry(
            version: migration.version, name: migration.name, state: state, appliedAt: nil,
            isBreaking: migration.isBreaking)
    }

    /// Refuses a database that this program must not touch.
    private func check(_ entries: [Entry]) throws(PostgresError) {
        if let newer = entries.last(where: { $0.state == .unknown && $0.version > latestVersion }) {
            throw PostgresError(
                .schemaTooNew,
                "the database is at version \(newer.version) (\(newer.name)), this program knows versions up to "
                    + "\(latestVersion): start a newer program")
        }
        if let lost = entries.first(where: { $0.state == .unknown }) {
            throw PostgresError(
                .invalidMigration, "migration \(lost.version) (\(lost.name)) was applied, but its file is missing")
        }
        if let changed = entries.first(where: { $0.state == .changed }) {
            throw PostgresError(
                .invalidMigration,
                "migration \(changed.version) (\(changed.name)) was edited after it was applied: restore the file and "
                    + "write a new migration")
        }
        let last = entries.last { $0.state == .applied }?.version ?? 0
        if let late = entries.first(where: { $0.state == .pending && $0.version < last }) {
            throw PostgresError(
                .invalidMigration,
                "migration \(late.version) (\(late.name)) comes before version \(last), which is applied: renumber it")
        }
    }

    /// Refuses a list that is wrong in itself.
    private func validate() throws(PostgresError) {
        var last = 0
        for migration in migrations {
            guard migration.version > 0, migration.version != last else {
                throw PostgresError(.invalidMigration, "two migrations have version \(migration.version)")
            }
            guard migration.isBreaking != nil else {
                throw PostgresError(
                    .invalidMigration,
                    "migration \(migration.version) (\(migration.name)) does not begin with `-- breaking: yes` or `no`")
            }
            last = migration.version
        }
    }
}
