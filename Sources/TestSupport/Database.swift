import Glibc
package import Logging
package import Postgres
import Synchronization

/// A database of its own for one test, on the server of `DATABASE_URL`.
///
/// With migrations, it is a copy of a template that is migrated once in each process. It is dropped when the body ends,
/// whoever is still connected. Six at a time exist in a process, so that tests which run side by side do not starve each
/// other; one inside another does not wait. Time limits are wide, for machines that are busy.
package nonisolated(nonsending) func withScratchDatabase<Result>(
    migrations: [Migration] = [], poolSize: Int = 4, logger: Logger = .silent,
    _ body: nonisolated(nonsending) (PostgresPool) async throws -> Result
) async throws -> Result {
    let server = try DatabaseServer(logger: logger)
    let isOutermost = !ScratchDatabases.isInside
    if isOutermost { await ScratchDatabases.shared.enter() }
    do {
        let result = try await ScratchDatabases.$isInside.withValue(true) {
            try await makeScratchDatabase(migrations, poolSize: poolSize, on: server, logger: logger, body)
        }
        if isOutermost { await ScratchDatabases.shared.leave() }
        return result
    } catch {
        if isOutermost { await ScratchDatabases.shared.leave() }
        throw error
    }
}

private nonisolated(nonsending) func makeScratchDatabase<Result>(
    _ migrations: [Migration], poolSize: Int, on server: DatabaseServer, logger: Logger,
    _ body: nonisolated(nonsending) (PostgresPool) async throws -> Result
) async throws -> Result {
    let template = migrations.isEmpty ? nil : try await DatabaseTemplates.shared.template(for: migrations, on: server)
    let name = DatabaseServer.makeName("scratch")
    try await server.create(name, template: template)
    let pool = PostgresPool(
        configuration: server.configuration.withDatabase(name), size: poolSize, acquireTimeout: .seconds(30),
        logger: logger)
    do {
        let result = try await body(pool)
        await pool.shutDown()
        try await server.drop(name)
        return result
    } catch {
        await pool.shutDown()
        try? await server.drop(name)
        throw error
    }
}

/// The server that tests use, through its maintenance database.
package struct DatabaseServer: Sendable {
    package let configuration: PostgresConfiguration
    private let logger: Logger

    package init(logger: Logger = .silent) throws {
        guard let url = getenv("DATABASE_URL").map({ String(cString: $0) }), !url.isEmpty else {
            throw MissingServer(variable: "DATABASE_URL")
        }
        var configuration = try PostgresConfiguration(url: url, applicationName: "neff-tests")
        configuration.connectTimeout = .seconds(30)
        self.configuration = configuration
        self.logger = logger
    }

    /// A name nobody else uses; it tells which process made it.
    static func makeName(_ kind: String) -> String {
        "neff_\(kind)_\(getpid())_\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
    }

    func create(_ name: String, template: String?) async throws {
        let source: SQL = template.map { "template \(identifier: $0)" } ?? ""
        try await run("create database \(identifier: name) \(source)")
    }

    func drop(_ name: String) async throws {
        try await run("drop database if exists \(identifier: name) with (force)")
    }

    /// Drops what processes left behind that are gone.
    func dropLeftovers() async throws {
        let rows = try await run(
            "select datname from pg_database where datname like 'neff\\_template\\_%' or datname like 'neff\\_scratch\\_%'"
        )
        for row in rows {
            let name = try row.decode("datname", as: String.self)
            let parts = name.split(separator: "_")
            guard parts.count == 4, let process = pid_t(parts[2]), kill(process, 0) == -1, errno == ESRCH else {
                continue
            }
            try? await drop(name)
        }
    }

    @discardableResult
    private func run(_ sql: SQL) async throws -> Rows {
        var configuration = configuration
        configuration.statementTimeout = .seconds(60)
        let connection = try await PostgresConnection.connect(configuration, logger: logger)
        do {
            let rows = try await connection.query(sql)
            await connection.close()
            return rows
        } catch {
            await connection.close()
            throw error
        }
    }
}

/// The environment lacks a server that the tests need.
package struct MissingServer: Error, CustomStringConvertible {
    package let variable: String

    package var description: String {
        "\(variable) is not set: start the servers with `scripts/services up` and read `.local/env`"
    }
}

/// How many scratch databases there may be at once.
private actor ScratchDatabases {
    static let shared = ScratchDatabases()
    @TaskLocal static var isInside = false

    private var free = 6
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func enter() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    func leave() {
        if waiting.isEmpty {
            free += 1
        } else {
            waiting.removeFirst().resume()
        }
    }
}

/// Migrated databases to copy, made once in each process for each list of migrations.
private actor DatabaseTemplates {
    static let shared = DatabaseTemplates()

    private var templates: [[String]: Task<String, any Error>] = [:]

    func template(for migrations: [Migration], on server: DatabaseServer) async throws -> String {
        let key = migrations.map(\.sql)
        if let task = templates[key] { return try await task.value }
        // Unstructured because the tests that wait for it come and go, and each of them may be cancelled.
        let task = Task {
            try await server.dropLeftovers()
            let name = DatabaseServer.makeName("template")
            try await server.create(name, template: nil)
            let pool = PostgresPool(
                configuration: server.configuration.withDatabase(name), size: 1, logger: .silent)
            do {
                try await Migrator(migrations: migrations).up(on: pool)
            } catch {
                await pool.shutDown()
                try? await server.drop(name)
                throw error
            }
            // A database cannot be copied while somebody is connected to it.
            await pool.shutDown()
            return name
        }
        templates[key] = task
        return try await task.value
    }
}

extension Logger {
    /// Drops everything.
    package static var silent: Logger { Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() } }
}
