import Postgres
import TestSupport
import Testing

/// Statements whose answers nobody needs: they cost no round trip, and lose nothing of a transaction.
@Suite(.timeLimit(.minutes(2))) struct EnqueueTests {
    private struct Stop: Error {}

    private func withTable(_ body: (PostgresPool) async throws -> Void) async throws {
        try await withScratchDatabase(poolSize: 2) { pool in
            _ = try await pool.query("create table t (id int primary key)")
            try await body(pool)
        }
    }

    private func ids(_ pool: PostgresPool) async throws -> [Int] {
        try await pool.query("select id from t order by id").map { try $0.decode("id", as: Int.self) }
    }

    @Test func itIsDoneBeforeWhateverIsAskedNext() async throws {
        try await withTable { pool in
            let seen = try await pool.withTransaction { transaction in
                try await transaction.enqueue("insert into t values (1)")
                try await transaction.enqueue("insert into t values (\(2))")
                return try await transaction.query("select count(*) as count from t")[0].decode("count", as: Int.self)
            }
            #expect(seen == 2)
            let kept = try await ids(pool)
            #expect(kept == [1, 2])
        }
    }

    @Test func itTravelsWithTheCommitEvenIfNothingElseWasAsked() async throws {
        try await withTable { pool in
            try await pool.withTransaction { transaction in
                for id in 1...200 { try await transaction.enqueue("insert into t values (\(id))") }
            }
            let kept = try await ids(pool)
            #expect(kept == Array(1...200))
        }
    }

    @Test func ofARollbackNothingIsLeft() async throws {
        try await withTable { pool in
            await #expect(throws: Stop.self) {
                try await pool.withTransaction { transaction in
                    try await transaction.enqueue("insert into t values (1)")
                    throw Stop()
                }
            }
            let kept = try await ids(pool)
            #expect(kept == [])
        }
    }

    @Test func itsFailureIsThatOfTheNextStatementAndOfTheTransaction() async throws {
        try await withTable { pool in
            _ = try await pool.query("insert into t values (1)")
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withTransaction { transaction in
                    try await transaction.enqueue("insert into t values (2)")
                    try await transaction.enqueue("insert into t values (1)")
                    _ = try await transaction.query("select 1")
                }
            }
            #expect(error?.sqlState == .uniqueViolation)
            let kept = try await ids(pool)
            #expect(kept == [1])
        }
    }

    @Test func itsFailureAtTheCommitUndoesTheTransactionAndTheConnectionLivesOn() async throws {
        try await withTable { pool in
            _ = try await pool.query("insert into t values (1)")
            for _ in 0..<3 {
                let error = await #expect(throws: PostgresError.self) {
                    try await pool.withTransaction { transaction in
                        _ = try await transaction.query("insert into t values (3)")
                        try await transaction.enqueue("insert into t values (1)")
                    }
                }
                #expect(error?.sqlState == .uniqueViolation && error?.isCommitUnknown == false)
            }
            let kept = try await ids(pool)
            #expect(kept == [1])
            #expect(pool.connectionCounts == (1, 0))
        }
    }

    @Test func aSavepointAnswersForWhatWasPutOffInIt() async throws {
        try await withTable { pool in
            _ = try await pool.query("insert into t values (1)")
            try await pool.withTransaction { transaction in
                try await transaction.enqueue("insert into t values (2)")
                let error = await #expect(throws: PostgresError.self) {
                    try await transaction.savepoint { part in
                        try await part.enqueue("insert into t values (3)")
                        try await part.enqueue("insert into t values (1)")
                    }
                }
                #expect(error?.sqlState == .uniqueViolation)
                try await transaction.savepoint { part in try await part.enqueue("insert into t values (4)") }
                await #expect(throws: Stop.self) {
                    try await transaction.savepoint { part in
                        _ = try await part.query("select 1")
                        try await part.enqueue("insert into t values (5)")
                        throw Stop()
                    }
                }
                try await transaction.enqueue("insert into t values (6)")
            }
            let kept = try await ids(pool)
            #expect(kept == [1, 2, 4, 6])
        }
    }

    @Test func whatFailsBeforeASavepointIsNotItsOwn() async throws {
        try await withTable { pool in
            _ = try await pool.query("insert into t values (1)")
            try await pool.withTransaction { transaction in
                let error = await #expect(throws: PostgresError.self) {
                    try await transaction.savepoint { outer in
                        _ = try await outer.query("insert into t values (2)")
                        try await outer.enqueue("insert into t values (1)")
                        try await outer.savepoint { inner in _ = try await inner.query("insert into t values (3)") }
                    }
                }
                #expect(error?.sqlState == .uniqueViolation)
                // The outer savepoint was undone, so the transaction goes on.
                _ = try await transaction.query("insert into t values (4)")
            }
            let kept = try await ids(pool)
            #expect(kept == [1, 4])
        }
    }

    @Test func aTransactionThatWasCancelledSendsNothingOfIt() async throws {
        try await withTable { pool in
            let task = Task {
                try await pool.withTransaction { transaction in
                    try await transaction.enqueue("insert into t values (1)")
                    withUnsafeCurrentTask { $0?.cancel() }
                }
            }
            await #expect(throws: CancellationError.self) { try await task.value }
            let kept = try await ids(pool)
            #expect(kept == [])
        }
    }

    @Test func itIsRefusedAfterTheTransactionHasEnded() async throws {
        try await withTable { pool in
            let leaked = try await pool.withTransaction { transaction in
                _ = try await transaction.query("select 1")
                return transaction
            }
            let error = await #expect(throws: PostgresError.self) {
                try await leaked.enqueue("insert into t values (1)")
            }
            #expect(error?.code == .misuse)
            let kept = try await ids(pool)
            #expect(kept == [])
        }
    }
}
