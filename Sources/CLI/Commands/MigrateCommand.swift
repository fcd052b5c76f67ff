import ArgumentParser
import Persistence
import Postgres

struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Bring the database's schema to this program's version, or look at it.",
        discussion: """
            Needs a DATABASE_URL whose role may create tables and roles. Each migration is one transaction; several \
            starters may race. A schema that is newer than this program is refused.
            """,
        subcommands: [Up.self, Status.self, Verify.self])

    struct Up: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Apply what is pending.")

        func run() async throws {
            try await Database.with("migrate", checksSchema: false) { pool in
                let applied = try await Migrator(migrations: Schema.migrations()).up(on: pool) { progress in
                    switch progress {
                    case .applying(let version, let name): print("applying \(version) \(name)")
                    case .busy(let version, _):
                        Terminal.complain("\(version) met locked tables: undone, and begun again")
                    case .waitingForLock, .applied: break
                    }
                }
                if applied.isEmpty {
                    print("nothing to do: the schema is at version \(try Schema.migrations().last?.version ?? 0)")
                }
            }
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the migrations and what became of each.")

        func run() async throws {
            let states = try await Database.with("migrate", checksSchema: false) { pool in
                try await Migrator(migrations: Schema.migrations()).status(on: pool)
            }
            var table = Table("VERSION", "NAME", "STATE", "APPLIED")
            for state in states {
                table.add(
                    String(state.version), state.name, "\(state.state)", state.appliedAt.map(Output.time) ?? "")
            }
            table.print()
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fail if the schema is not exactly what this program knows.")

        func run() async throws {
            try await Database.with("migrate", checksSchema: false) { pool in
                try await Migrator(migrations: Schema.migrations()).verify(on: pool)
            }
            print("the schema is exactly at version \(try Schema.migrations().last?.version ?? 0)")
        }
    }
}
