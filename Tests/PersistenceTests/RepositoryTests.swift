import Foundation
import Messaging
import Persistence
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct RepositoryTests {
    struct Undo: Error {}

    static func message(_ id: String) -> OutgoingMessage {
        OutgoingMessage(
            exchange: .events, envelope: Envelope(id: id, type: .jobScheduled, timestamp: Date(), body: [7]))
    }

    @Test func aClaimIsGivenOnceAndComesBackWithARollback() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            func claim(_ consumer: String, failing: Bool = false) async throws -> Bool {
                try await pool.withTransaction { transaction in
                    let isNew = try await Inbox.insert(consumer: consumer, messageID: "m", in: transaction)
                    if failing { throw Undo() }
                    return isNew
                }
            }
            await #expect(throws: Undo.self) { try await claim("sync", failing: true) }
            let claims = try await [claim("sync"), claim("sync"), claim("scheduling")]
            #expect(claims == [true, false, true])
        }
    }

    @Test func aSecondClaimWaitsForTheFirstAndFindsItDone() async throws {
        try await withScratchDatabase(migrations: Schema.migrations(), poolSize: 10) { pool in
            let wins = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        let isNew = try? await pool.withTransaction { transaction in
                            try await Inbox.insert(consumer: "sync", messageID: "m", in: transaction)
                        }
                        return isNew ?? false
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(wins == 1)
        }
    }

    @Test func anOutboxRowSharesTheFateOfItsTransaction() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            await #expect(throws: Undo.self) {
                try await pool.withTransaction { transaction in
                    try await Outbox.insert(Self.message("a"), in: transaction)
                    throw Undo()
                }
            }
            #expect(try await Outbox.backlog(pool).count == 0)
            try await pool.withTransaction { transaction in
                try await Outbox.insert(Self.message("a"), in: transaction)
                try await Outbox.insert(Self.message("a"), in: transaction)
            }
            #expect(try await Outbox.backlog(pool).count == 1)
        }
    }

    @Test func relaysThatClaimAtOnceNeverGetTheSameRow() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            _ = try await pool.pipeline((0..<10).map { Outbox.insertion(Self.message("m\($0)")) })
            try await pool.withTransaction { first in
                let mine = try await Outbox.claim(limit: 6, in: first)
                try await pool.withTransaction { second in
                    let others = try await Outbox.claim(limit: 6, in: second)
                    #expect(mine.count == 6 && others.count == 4)
                    #expect(Set(mine.map(\.id)).isDisjoint(with: others.map(\.id)))
                }
            }
        }
    }

    @Test func onlyOneRelayDrainsTheSpool() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            try await pool.withTransaction { first in
                #expect(try await Spool.lock(in: first))
                try await pool.withTransaction { second in
                    let locked = try await Spool.lock(in: second)
                    #expect(!locked)
                }
            }
            let again = try await pool.withTransaction { try await Spool.lock(in: $0) }
            #expect(again)
        }
    }

    @Test func triesAloneAreCountedUntilOneIsSurvived() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            #expect(try await Suspects.begin(consumer: "sync", messageID: "m", on: pool) == 0)
            #expect(try await Suspects.begin(consumer: "sync", messageID: "m", on: pool) == 1)
            #expect(try await Suspects.begin(consumer: "other", messageID: "m", on: pool) == 0)
            #expect(try await Suspects.tries(consumer: "sync", messageIDs: ["m", "n"], on: pool) == ["m": 2])
            try await Suspects.end(consumer: "sync", messageID: "m", on: pool)
            #expect(try await Suspects.begin(consumer: "sync", messageID: "m", on: pool) == 0)
        }
    }

    @Test func theMigrationsAreThoseOfTheFolder() throws {
        let migrations = try Schema.migrations()
        let versions = migrations.map(\.version)
        #expect(versions == Set(versions).sorted())
        #expect(migrations.allSatisfy { $0.isBreaking != nil })
    }
}
