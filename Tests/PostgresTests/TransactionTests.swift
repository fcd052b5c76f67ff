import Postgres
import Synchronization
import TestSupport
import Testing

private struct Stop: Error {}

@Suite(.timeLimit(.minutes(2))) struct TransactionTests {
    private func withTable(
        poolSize: Int = 2, _ body: (PostgresPool) async throws -> Void
    ) async throws {
        try await withScratchDatabase(poolSize: poolSize) { pool in
            _ = try await pool.query("create table t (id int primary key)")
            try await body(pool)
        }
    }

    private func ids(_ pool: PostgresPool) async throws -> [Int] {
        try await pool.query("select id from t order by id").map { try $0.decode("id", as: Int.self) }
    }

    @Test func itCommitsWhenTheBodyReturns() async throws {
        try await withTable { pool in
            let answer = try await pool.withTransaction { transaction in
                _ = try await transaction.query("insert into t values (1)")
                _ = try await transaction.pipeline(["insert into t values (2)", "insert into t values (3)"])
                return "done"
            }
            #expect(answer == "done")
            #expect(try await ids(pool) == [1, 2, 3])
            #expect(pool.connectionCounts == (1, 0))
        }
    }

    @Test func itRollsBackWhenTheBodyThrows() async throws {
        try await withTable(poolSize: 1) { pool in
            await #expect(throws: Stop.self) {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.query("insert into t values (1)")
                    throw Stop()
                }
            }
            let kept = try await ids(pool)
            #expect(kept == [])
        }
    }

    @Test func itRollsBackWhenTheTaskIsCancelledEvenIfTheBodyReturns() async throws {
        try await withTable(poolSize: 1) { pool in
            let task = Task {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.query("insert into t values (1)")
                    withUnsafeCurrentTask { $0?.cancel() }
                }
            }
            await #expect(throws: CancellationError.self) { try await task.value }
            let kept = try await ids(pool)
            #expect(kept == [])
        }
    }

    @Test func cancellingInTheMiddleOfAStatementRollsBackAndKeepsTheConnection() async throws {
        try await withTable(poolSize: 1) { pool in
            let (pids, report) = AsyncStream.makeStream(of: Int.self)
            let task = Task {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.query("insert into t values (1)")
                    report.yield(
                        try await transaction.query("select pg_backend_pid() as pid")[0].decode("pid", as: Int.self))
                    _ = try await transaction.query("select pg_sleep(60)")
                }
            }
            let pid = try #require(await pids.first { _ in true })
            try await waitUntilRunning("pg_sleep", pid: pid)
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(try await ids(pool) == [])
            let now: Int = try await pool.query("select pg_backend_pid() as pid")[0]["pid"]
            #expect(now == pid)
        }
    }

    @Test func aBodyThatRunsNothingSendsNothing() async throws {
        try await withTable { pool in
            try await pool.withTransaction { _ in }
            await #expect(throws: Stop.self) { try await pool.withTransaction { _ in throw Stop() } }
            #expect(try await ids(pool) == [])
        }
    }

    /// The server takes a COMMIT of a failed transaction for a ROLLBACK and reports success.
    @Test func aSwallowedErrorCannotPassForACommit() async throws {
        try await withTable(poolSize: 1) { pool in
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.query("insert into t values (1)")
                    _ = try? await transaction.query("insert into t values (1)")
                }
            }
            #expect(error?.code == .transactionAborted)
            let kept = try await ids(pool)
            #expect(kept == [])
        }
    }

    @Test func aSavepointUndoesItsPartOnly() async throws {
        try await withTable(poolSize: 1) { pool in
            try await pool.withTransaction { transaction in
                _ = try await transaction.query("insert into t values (1)")
                try? await transaction.savepoint { part in
                    _ = try await part.query("insert into t values (2)")
                    _ = try await part.query("insert into t values (1)")
                }
                try await transaction.savepoint { part in
                    _ = try await part.query("insert into t values (3)")
                    try? await part.savepoint { inner in
                        _ = try await inner.query("insert into t values (4)")
                        throw Stop()
                    }
                    try await part.savepoint { inner in _ = try await inner.query("insert into t values (5)") }
                }
            }
            #expect(try await ids(pool) == [1, 3, 5])
        }
    }

    @Test func aSavepointThatComesFirstAndFailsLeavesAnEmptyTransaction() async throws {
        try await withTable(poolSize: 1) { pool in
            try await pool.withTransaction { transaction in
                try? await transaction.savepoint { _ in throw Stop() }
                try? await transaction.savepoint { part in
                    _ = try await part.query("insert into t values (1)")
                    throw Stop()
                }
                _ = try await transaction.query("insert into t values (2)")
            }
            #expect(try await ids(pool) == [2])
        }
    }

    @Test func aSavepointWithASwallowedErrorFails() async throws {
        try await withTable(poolSize: 1) { pool in
            try await pool.withTransaction { transaction in
                _ = try await transaction.query("insert into t values (1)")
                let error = await #expect(throws: PostgresError.self) {
                    try await transaction.savepoint { part in
                        _ = try await part.query("insert into t values (2)")
                        _ = try? await part.query("insert into t values (1)")
                    }
                }
                #expect(error?.code == .transactionAborted)
                _ = try await transaction.query("insert into t values (3)")
            }
            #expect(try await ids(pool) == [1, 3])
        }
    }

    @Test func cancellationInsideASavepointUndoesEverything() async throws {
        try await withTable(poolSize: 1) { pool in
            let task = Task {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.query("insert into t values (1)")
                    try await transaction.savepoint { part in
                        _ = try await part.query("insert into t values (2)")
                        withUnsafeCurrentTask { $0?.cancel() }
                        _ = try await part.query("insert into t values (3)")
                    }
                }
            }
            await #expect(throws: CancellationError.self) { try await task.value }
            let kept = try await ids(pool)
            #expect(kept == [])
        }
    }

    @Test(arguments: Transaction.Isolation.allCases, [true, false])
    func isolationAndAccessModeReachTheServer(isolation: Transaction.Isolation, readOnly: Bool) async throws {
        try await withTable(poolSize: 1) { pool in
            try? await pool.withTransaction(isolation: isolation, readOnly: readOnly) { transaction in
                let row = try await transaction.query(
                    "select current_setting('transaction_isolation') as level, current_setting('transaction_read_only') as mode"
                )[0]
                #expect(try row["level"] == isolation.rawValue)
                #expect(try row["mode"] == (readOnly ? "on" : "off"))
                if readOnly {
                    let error = await #expect(throws: PostgresError.self) {
                        try await transaction.query("insert into t values (1)")
                    }
                    #expect(error?.sqlState == .readOnlyTransaction)
                    throw Stop()
                }
                _ = try await transaction.query("insert into t values (1)")
            }
            let kept = try await ids(pool)
            #expect(kept == (readOnly ? [] : [1]))
        }
    }

    @Test func aTransactionIsOverWithItsBody() async throws {
        try await withTable(poolSize: 1) { pool in
            let escaped = Mutex<Transaction?>(nil)
            try await pool.withTransaction { transaction in
                _ = try await transaction.query("insert into t values (1)")
                escaped.withLock { $0 = transaction }
            }
            let transaction = try #require(escaped.withLock { $0 })
            let error = await #expect(throws: PostgresError.self) {
                try await transaction.query("insert into t values (2)")
            }
            #expect(error?.code == .misuse)
            #expect(try await ids(pool) == [1])
        }
    }

    @Test func aStatementThatEndsTheTransactionIsFoundOut() async throws {
        try await withTable(poolSize: 1) { pool in
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.query("insert into t values (1)")
                    try await transaction.script("commit")
                    _ = try await transaction.query("insert into t values (2)")
                }
            }
            #expect(error?.code == .misuse)
            let kept = try await ids(pool)
            #expect(kept == [1])
        }
    }

    @Test func aTransactionLeftOpenOnABorrowedConnectionIsRolledBack() async throws {
        try await withTable(poolSize: 1) { pool in
            try await pool.withConnection { connection in
                _ = try await connection.query("begin")
                _ = try await connection.query("insert into t values (1)")
            }
            #expect(try await ids(pool) == [])
            #expect(pool.connectionCounts.all == 1)
        }
    }

    @Test func aDeadlockIsRetriableForItsVictim() async throws {
        try await withTable(poolSize: 2) { pool in
            _ = try await pool.query("insert into t values (1), (2)")
            let barrier = Barrier(count: 2)
            let results = await withTaskGroup(of: PostgresError?.self) { group in
                for order in [[1, 2], [2, 1]] {
                    group.addTask {
                        do {
                            try await pool.withTransaction { transaction in
                                _ = try await transaction.query("select id from t where id = \(order[0]) for update")
                                await barrier.arrive()
                                _ = try await transaction.query("select id from t where id = \(order[1]) for update")
                            }
                            return nil
                        } catch {
                            return error as? PostgresError
                        }
                    }
                }
                return await group.reduce(into: [PostgresError]()) { if let error = $1 { $0.append(error) } }
            }
            #expect(results.map(\.sqlState) == [.deadlockDetected])
            #expect(results.first?.isRetriable == true)
        }
    }

    @Test func aSerializationFailureIsRetriable() async throws {
        try await withTable(poolSize: 2) { pool in
            _ = try await pool.query("insert into t values (1)")
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withTransaction(isolation: .repeatableRead) { transaction in
                    _ = try await transaction.query("select * from t")
                    _ = try await pool.query("update t set id = 2")
                    _ = try await transaction.query("update t set id = 3")
                }
            }
            #expect(error?.sqlState == .serializationFailure)
            #expect(error?.isRetriable == true)
        }
    }

    @Test func waitingForALockIsBounded() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            _ = try await pool.query("create table t (id int)")
            var configuration = pool.configuration
            configuration.lockTimeout = .milliseconds(50)
            let other = try await PostgresConnection.connect(configuration, logger: .silent)
            try await pool.withTransaction { transaction in
                _ = try await transaction.query("lock table t")
                let error = await #expect(throws: PostgresError.self) { try await other.query("select * from t") }
                #expect(error?.sqlState == .lockNotAvailable)
                #expect(error?.code == .timeout)
                #expect(error?.isRetriable == true)
            }
            await other.close()
        }
    }
}

/// Lets nobody pass before all have come.
actor Barrier {
    private let count: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(count: Int) {
        self.count = count
    }

    func arrive() async {
        if waiting.count + 1 == count {
            for continuation in waiting { continuation.resume() }
            waiting = []
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }
}
