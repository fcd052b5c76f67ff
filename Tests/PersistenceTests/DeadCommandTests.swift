import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import TestSupport
import Testing

/// What becomes of an operation whose command cannot be carried out.
@Suite(.timeLimit(.minutes(1))) struct DeadCommandTests {
    private func with(
        _ body: (_ pool: PostgresPool, _ journal: PostgresPool, Persistence.Operation) async throws -> Void
    ) async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            // With the rights of the process that writes letters.
            let journal = PostgresPool(
                configuration: pool.configuration.withParameter("options", "-c role=neff_deadletters"), size: 1,
                logger: .silent)
            let operation = Persistence.Operation(
                id: .make(), principal: "key", route: "POST /v1/jobs", idempotencyKey: "k", requestHash: "h",
                messageID: "command", createdAt: Date())
            #expect(try await Operations.insertPending(operation, in: pool) == nil)
            do {
                try await body(pool, journal, operation)
                await journal.shutDown()
            } catch {
                await journal.shutDown()
                throw error
            }
        }
    }

    private func finish(_ operation: Persistence.Operation, _ pool: PostgresPool) async throws {
        try await pool.withTransaction { transaction in
            try await Operations.finish(
                operation.id, with: OperationResult(httpStatus: 201, body: Array("{}".utf8), subjectID: "job"),
                at: Date(), in: transaction)
        }
    }

    @Test func itFailsAndNamesTheLetterAndAReplayPutsItsResultThere() async throws {
        try await with { pool, journal, operation in
            let letter = LetterActsTests.letter("command")
            try await DeadLetters.insert([letter, LetterActsTests.letter("another")], on: journal)
            let failed = try #require(try await Operations.find(operation.id, in: pool))
            #expect(failed.status == .failed && failed.httpStatus == 500 && failed.finishedAt != nil)
            let problem = try WireJSON.decode(Problem.self, from: failed.outcome ?? [])
            #expect(problem.type == "internal-error" && problem.detail?.contains("\(letter.id)") == true)

            // It dies once more; the operation names the new letter.
            var again = LetterActsTests.letter("command")
            (again.deathKey, again.replayCount) = ("work/command/1", 1)
            try await DeadLetters.insert([again], on: journal)
            let outcome = try await Operations.find(operation.id, in: pool)?.outcome ?? []
            #expect(try WireJSON.decode(Problem.self, from: outcome).detail?.contains("\(again.id)") == true)

            try await finish(operation, pool)
            let done = try #require(try await Operations.find(operation.id, in: pool))
            #expect(done.status == .succeeded && done.httpStatus == 201 && done.subjectID == "job")
        }
    }

    @Test func aResultStaysWhenAnotherCopyDies() async throws {
        try await with { pool, journal, operation in
            try await finish(operation, pool)
            try await DeadLetters.insert([LetterActsTests.letter("command")], on: journal)
            #expect(try await Operations.find(operation.id, in: pool)?.status == .succeeded)
            // And what has succeeded is not overwritten by a late result either.
            try await pool.withTransaction { transaction in
                try await Operations.finish(
                    operation.id, with: OperationResult(httpStatus: 409, body: Array("{}".utf8)), at: Date(),
                    in: transaction)
            }
            #expect(try await Operations.find(operation.id, in: pool)?.httpStatus == 201)
        }
    }
}
