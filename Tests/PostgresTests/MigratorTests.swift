import Postgres
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct MigratorTests {
    private let first = Migration(
        version: 1, name: "first", sql: "-- breaking: no\ncreate table a (id int);\ninsert into a values (1);")
    private let second = Migration(
        version: 2, name: "second", sql: "-- breaking: yes\nalter table a add column b text;")

    @Test func itAppliesWhatIsPendingInOrderAndOnlyOnce() async throws {
        try await withScratchDatabase { pool in
            let migrator = Migrator(migrations: [second, first])
            #expect(try await migrator.status(on: pool).map(\.state) == [.pending, .pending])
            let events = Mutex<[Migrator.Progress]>([])
            let applied = try await migrator.up(on: pool) { event in events.withLock { $0.append(event) } }
            #expect(applied == [first, second])
            let kinds = events.withLock { $0 }
            #expect(kinds.count == 5)
            #expect(kinds[0] == .waitingForLock)
            #expect(kinds[1] == .applying(version: 1, name: "first"))
            let status = try await migrator.status(on: pool)
            #expect(status.map(\.state) == [.applied, .applied])
            #expect(status.map(\.isBreaking) == [false, true])
            #expect(status.allSatisfy { $0.appliedAt != nil })
            #expect(try await migrator.up(on: pool).isEmpty)
            try await migrator.verify(on: pool)
            #expect(try await pool.query("select id, b from a").count == 1)
        }
    }

    @Test func manyStartersRaceSafely() async throws {
        try await withScratchDatabase { pool in
            let migrations = [first, second]
            let total = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        let own = PostgresPool(configuration: pool.configuration, size: 1, logger: .silent)
                        let count = try await Migrator(migrations: migrations).up(on: own).count
                        await own.shutDown()
                        return count
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(total == 2)
            #expect(try await pool.query("select * from a").count == 1)
        }
    }

    @Test func aFailedMigrationLeavesNothingOfItself() async throws {
        try await withScratchDatabase { pool in
            let broken = Migration(
                version: 2, name: "broken", sql: "-- breaking: no\ncreate table b (id int); select nonsense;")
            let error = await #expect(throws: PostgresError.self) {
                try await Migrator(migrations: [first, broken]).up(on: pool)
            }
            #expect(error?.sqlState == .undefinedColumn)
            #expect(error?.description.contains("migration 2 broken") == true)
            let states = try await Migrator(migrations: [first, broken]).status(on: pool).map(\.state)
            #expect(states == [.applied, .pending])
            let table = try await pool.query("select to_regclass('b')::text as b")[0].decode("b", as: String?.self)
            #expect(table == nil)
            let repaired = try await Migrator(migrations: [first, second]).up(on: pool)
            #expect(repaired == [second])
        }
    }

    /// Somebody's transaction holds the table; once the migration has given way, it ends.
    @Test func aMigrationThatMeetsALockedTableIsBegunAgain() async throws {
        try await withScratchDatabase { pool in
            let migrator = Migrator(migrations: [first, second], lockTimeout: .milliseconds(100))
            try await Migrator(migrations: [first]).up(on: pool)
            let (busy, tell) = AsyncStream<Migrator.Progress>.makeStream()
            let (held, isHeld) = AsyncStream<Void>.makeStream()
            async let holding: Void = pool.withTransaction { transaction in
                _ = try await transaction.query("select id from a for update")
                isHeld.yield()
                for await event in busy where event == .busy(version: 2, name: "second") { break }
            }
            for await _ in held { break }
            let applied = try await migrator.up(on: pool) { tell.yield($0) }
            try await holding
            #expect(applied == [second])
            #expect(try await pool.query("select id, b from a").count == 1)
        }
    }

    @Test func aMigrationThatEndsItsTransactionIsRefused() async throws {
        try await withScratchDatabase { pool in
            let sly = Migration(version: 1, name: "sly", sql: "-- breaking: no\ncreate table b (id int); commit;")
            let error = await #expect(throws: PostgresError.self) { try await Migrator(migrations: [sly]).up(on: pool) }
            #expect(error?.code == .misuse)
        }
    }

    @Test func anEditedMigrationIsFoundOut() async throws {
        try await withScratchDatabase { pool in
            try await Migrator(migrations: [first]).up(on: pool)
            let edited = Migration(version: 1, name: "first", sql: first.sql + " ")
            let migrator = Migrator(migrations: [edited, second])
            #expect(try await migrator.status(on: pool).map(\.state) == [.changed, .pending])
            for action in [{ try await migrator.verify(on: pool) }, { _ = try await migrator.up(on: pool) }] {
                let error = await #expect(throws: PostgresError.self) { try await action() }
                #expect(error?.code == .invalidMigration)
                #expect(error?.description.contains("edited") == true)
            }
        }
    }

    @Test func aNewerSchemaIsRefused() async throws {
        try await withScratchDatabase { pool in
            try await Migrator(migrations: [first, second]).up(on: pool)
            let older = Migrator(migrations: [first])
            #expect(try await older.status(on: pool).map(\.state) == [.applied, .unknown])
            for action in [{ try await older.verify(on: pool) }, { _ = try await older.up(on: pool) }] {
                let error = await #expect(throws: PostgresError.self) { try await action() }
                #expect(error?.code == .schemaTooNew)
            }
        }
    }

    @Test func aMissingFileALateFileAndAnOldSchemaAreFoundOut() async throws {
        let third = Migration(version: 3, name: "third", sql: "-- breaking: no\nselect 1;")
        try await withScratchDatabase { pool in
            try await Migrator(migrations: [first, third]).up(on: pool)
            let late = await #expect(throws: PostgresError.self) {
                try await Migrator(migrations: [first, second, third]).up(on: pool)
            }
            #expect(late?.description.contains("renumber") == true)
            let missing = await #expect(throws: PostgresError.self) {
                try await Migrator(migrations: [third]).verify(on: pool)
            }
            #expect(missing?.code == .invalidMigration)
            let fourth = Migration(version: 4, name: "fourth", sql: "-- breaking: no\nselect 1;")
            let old = await #expect(throws: PostgresError.self) {
                try await Migrator(migrations: [first, third, fourth]).verify(on: pool)
            }
            #expect(old?.code == .schemaTooOld)
        }
    }

    @Test(arguments: ["create table a (id int);", "-- breaking: maybe\nselect 1;", " -- breaking: no\nselect 1;", ""])
    func theFirstLineIsRequired(sql: String) async throws {
        try await withScratchDatabase { pool in
            let error = await #expect(throws: PostgresError.self) {
                try await Migrator(migrations: [Migration(version: 1, name: "x", sql: sql)]).up(on: pool)
            }
            #expect(error?.code == .invalidMigration)
        }
    }

    @Test func twoMigrationsOfOneVersionAreRefused() async throws {
        try await withScratchDatabase { pool in
            let error = await #expect(throws: PostgresError.self) {
                try await Migrator(migrations: [first, first]).up(on: pool)
            }
            #expect(error?.code == .invalidMigration)
        }
    }

    @Test func fileNamesCarryVersionAndName() throws {
        let migration = try Migration(file: "V0012__add_outbox__index.sql", contents: "-- breaking: no\n".utf8)
        #expect(migration.version == 12)
        #expect(migration.name == "add_outbox__index")
        for name in ["V1_x.sql", "1__x.sql", "V0__x.sql", "V1__x.txt", "Vx__x.sql", "V1__.sql"] {
            #expect(throws: PostgresError.self) { try Migration(file: name, contents: [UInt8]()) }
        }
        #expect(throws: PostgresError.self) { try Migration(file: "V1__x.sql", contents: [0xff] as [UInt8]) }
    }

    @Test func scratchDatabasesAreCopiesOfOneTemplate() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    try await withScratchDatabase(migrations: [first, second]) { pool in
                        #expect(try await pool.query("select * from a").count == 1)
                        _ = try await pool.query("delete from a")
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}
