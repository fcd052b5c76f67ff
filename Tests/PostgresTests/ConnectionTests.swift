import Logging
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct ConnectionTests {
    @Test func anErrorNamesWhatWasViolatedAndHidesTheData() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            _ = try await pool.query(
                "create table people (email text constraint people_email_key unique, age int not null constraint adult check (age > 17))"
            )
            _ = try await pool.query("insert into people values (\("secret@example.com"), 20)")
            let unique = await #expect(throws: PostgresError.self) {
                try await pool.query("insert into people values (\("secret@example.com"), 20)")
            }
            #expect(unique?.sqlState == .uniqueViolation)
            #expect(unique?.constraint == "people_email_key")
            #expect(unique?.table == "people")
            #expect(unique?.isRetriable == false)
            #expect(unique?.description.contains("secret") == false)
            #expect(unique?.debugDescription.contains("secret@example.com") == true)

            let check = await #expect(throws: PostgresError.self) {
                try await pool.query("insert into people values ('b', 3)")
            }
            #expect(check?.sqlState == .checkViolation)
            #expect(check?.constraint == "adult")
            let null = await #expect(throws: PostgresError.self) {
                try await pool.query("insert into people values ('b', null)")
            }
            #expect(null?.sqlState == .notNullViolation)
            #expect(null?.column == "age")
            let input = await #expect(throws: PostgresError.self) { try await pool.query("select \("secret")::int") }
            #expect(input?.sqlState == .invalidTextRepresentation)
            #expect(input?.description.contains("secret") == false)
            let missing = await #expect(throws: PostgresError.self) { try await pool.query("select * from nowhere") }
            #expect(missing?.description.contains("nowhere") == true)
        }
    }

    @Test func anExclusionConstraintIsNamed() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            _ = try await pool.query(
                "create table allocations (during tstzrange, constraint allocations_no_overlap exclude using gist (during with &&))"
            )
            let slot = "[2026-04-01 10:00+00,2026-04-01 11:00+00)"
            _ = try await pool.query("insert into allocations values (\(slot))")
            let error = await #expect(throws: PostgresError.self) {
                try await pool.query("insert into allocations values (\(slot))")
            }
            #expect(error?.sqlState == .exclusionViolation)
            #expect(error?.constraint == "allocations_no_overlap")
        }
    }

    @Test func aPipelineIsAllOrNothingAndLeavesTheConnectionUsable() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            _ = try await pool.query("create table t (id int primary key)")
            let error = await #expect(throws: PostgresError.self) {
                try await pool.pipeline([
                    "insert into t values (1)", "insert into t values (1)", "insert into t values (2)",
                ])
            }
            #expect(error?.sqlState == .uniqueViolation)
            #expect(try await pool.query("select * from t").isEmpty)
            let answers = try await pool.pipeline((0..<1000).map { "insert into t values (\($0)) returning id" })
            #expect(try answers.map { try $0[0].decode("id", as: Int.self) } == Array(0..<1000))
            #expect(pool.connectionCounts.all == 1)
        }
    }

    @Test func statementsOfOnePipelineMayRepeatAndGrowPastTheCache() async throws {
        try await withConnection { configuration in
            configuration.statementCacheSize = 4
        } body: { connection in
            for round in 0..<3 {
                let answers = try await connection.pipeline(
                    (0..<20).map { SQL(unescaped: "select \($0 % 10) as n, ") + "\(round) as round" })
                #expect(try answers.map { try $0[0].decode("n", as: Int.self) } == (0..<20).map { $0 % 10 })
            }
            // What was given up is dropped by later exchanges, a few at a time.
            for _ in 0..<10 { _ = try await connection.query("select 1") }
            let rows = try await connection.query("select count(*) as n from pg_prepared_statements")
            #expect(try rows[0].decode("n", as: Int.self) <= 5)
        }
    }

    @Test func aStatementThatNoLongerFitsIsPreparedAgain() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            _ = try await pool.query("create table t (id int)")
            _ = try await pool.query("insert into t values (1)")
            #expect(try await pool.query("select * from t").columns == ["id"])
            _ = try await pool.query("alter table t add column name text default 'x'")
            #expect(try await pool.query("select * from t").columns == ["id", "name"])
            _ = try await pool.query("deallocate all")
            #expect(try await pool.query("select * from t").count == 1)
        }
    }

    /// A statement that nobody needs any more is dropped on the way, and the server has lost it already.
    @Test(arguments: ["query", "transaction", "open block"])
    func whatIsReportedAsDoneStaysDoneThoughADeallocationFails(way: String) async throws {
        try await withScratchDatabase(poolSize: 1) { scratch in
            _ = try await scratch.query("create table t (id int)")
            var configuration = scratch.configuration
            configuration.statementCacheSize = 1
            let connection = try await PostgresConnection.connect(configuration, logger: .silent)
            _ = try await connection.query("select 1")
            _ = try await connection.query("select 2")
            try await connection.script("deallocate all")
            switch way {
            case "query":
                _ = try await connection.query("insert into t values (1)")
            case "transaction":
                try await connection.withTransaction { _ = try await $0.query("insert into t values (1)") }
            default:
                _ = try await connection.query("begin")
                _ = try await connection.query("insert into t values (1)")
                _ = try await connection.query("commit")
            }
            #expect(try await scratch.query("select * from t").count == 1)
            await connection.close()
        }
    }

    @Test func inATransactionAStaleStatementIsARetriableError() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            _ = try await pool.query("create table t (id int)")
            _ = try await pool.query("select * from t")
            _ = try await pool.query("alter table t add column name text")
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withTransaction { transaction in try await transaction.query("select * from t") }
            }
            #expect(error?.isRetriable == true)
            let rows = try await pool.withTransaction { transaction in try await transaction.query("select * from t") }
            #expect(rows.columns == ["id", "name"])
        }
    }

    @Test func cancellingTheTaskCancelsTheStatementAndKeepsTheConnection() async throws {
        try await withConnection { connection in
            let before = try await connection.query("select pg_backend_pid() as pid")[0].decode("pid", as: Int.self)
            let task = Task { try await connection.query("select pg_sleep(60)") }
            try await waitUntilRunning("pg_sleep", pid: before)
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(
                try await connection.query("select pg_backend_pid() as pid")[0].decode("pid", as: Int.self) == before)
        }
    }

    @Test func aTaskThatWasCancelledBeforeSendsNothing() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            _ = try await pool.query("create table t (id int)")
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await pool.query("insert into t values (1)")
            }
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(try await pool.query("select * from t").isEmpty)
        }
    }

    /// The request to cancel may be on the connection's thread before the statement is. One that was lost there would let
    /// the statement sleep for the suite's time limit.
    @Test func aCancellationAtOnceIsNeverLost() async throws {
        try await withConnection { configuration in
            configuration.statementTimeout = nil
        } body: { connection in
            for round in 0..<3_000 {
                let task = Task { try await connection.query("select pg_sleep(600)") }
                for _ in 0..<(round % 8) { await Task.yield() }
                task.cancel()
                await #expect(throws: CancellationError.self) { try await task.value }
            }
        }
    }

    /// Cancels at every moment between "not sent" and "answered"; a stray cancellation would hit the query after it.
    @Test func lateCancellationsNeverHitTheNextStatement() async throws {
        try await withConnection { connection in
            var outcomes = (done: 0, cancelled: 0)
            for delay in 0..<200 {
                let task = Task { try await connection.query("select pg_sleep(0.002)") }
                for _ in 0..<(delay * 20) { await Task.yield() }
                task.cancel()
                switch await task.result {
                case .success: outcomes.done += 1
                case .failure(let error):
                    #expect(error is CancellationError)
                    outcomes.cancelled += 1
                }
                let next = try await connection.query("select \(delay) as n")
                #expect(try next[0].decode("n", as: Int.self) == delay)
            }
            #expect(outcomes.done + outcomes.cancelled == 200)
            #expect(outcomes.cancelled > 0)
        }
    }

    @Test func aCallThatWaitsBehindAnotherCanBeCancelledWithoutHarm() async throws {
        try await withConnection { holder in
            let key = try await holder.backendPID()
            _ = try await holder.query("select pg_advisory_lock(\(key))")
            try await withConnection { connection in
                let pid = try await connection.backendPID()
                let first = Task { try await connection.query("select pg_advisory_xact_lock(\(key)), 1 as n") }
                try await waitUntilRunning("pg_advisory_xact_lock", pid: pid)
                let second = Task { try await connection.query("select 2 as n") }
                let third = Task { try await connection.query("select 3 as n") }
                second.cancel()
                await #expect(throws: CancellationError.self) { try await second.value }
                _ = try await holder.query("select pg_advisory_unlock(\(key))")
                let numbers = try await [first.value, third.value].map { try $0[0].decode("n", as: Int.self) }
                #expect(numbers == [1, 3])
            }
        }
    }

    @Test func cancellationByOthersIsAnErrorOfItsOwn() async throws {
        try await withConnection { connection in
            let pid = try await connection.backendPID()
            let task = Task { try await connection.query("select pg_sleep(60)") }
            try await waitUntilRunning("pg_sleep", pid: pid)
            await connection.cancel()
            let error = await #expect(throws: PostgresError.self) { try await task.value }
            #expect(error?.code == .cancelled)
            #expect(error?.sqlState == .queryCanceled)
        }
    }

    @Test func theStatementTimeoutIsATypedError() async throws {
        try await withConnection { configuration in
            configuration.statementTimeout = .milliseconds(50)
        } body: { connection in
            let error = await #expect(throws: PostgresError.self) { try await connection.query("select pg_sleep(60)") }
            #expect(error?.code == .timeout)
            #expect(error?.sqlState == .queryCanceled)
            _ = try await connection.query("select 1")
        }
    }

    @Test func aScriptRunsManyStatementsAndItsErrorLeavesTheConnectionUsable() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            try await pool.withConnection { connection in
                try await connection.script("create table a (id int); insert into a values (1); select * from a; ")
                await #expect(throws: PostgresError.self) {
                    try await connection.script("insert into a values (2); select 1/0; insert into a values (3)")
                }
                try await connection.script("")
                #expect(try await connection.query("select * from a").count == 1)
            }
        }
    }

    @Test func streamsThatNobodyReadsCloseTheConnectionWithAClearError() async throws {
        try await withConnection { connection in
            let error = await #expect(throws: PostgresError.self) {
                try await connection.script("copy (select 1) to stdout")
            }
            #expect(error?.code == .misuse)
        }
        try await withConnection { connection in
            await #expect(throws: PostgresError.self) {
                try await connection.script("create temp table t (id int); copy t from stdin")
            }
            _ = try await connection.query("select 1")
        }
    }

    @Test func overlappingCallsAreAnsweredInOrder() async throws {
        try await withConnection { connection in
            try await withThrowingTaskGroup(of: (Int, Int).self) { group in
                for number in 0..<200 {
                    group.addTask {
                        (number, try await connection.query("select \(number) as n")[0].decode("n", as: Int.self))
                    }
                }
                for try await (sent, received) in group { #expect(sent == received) }
            }
        }
    }

    @Test func noticesGoToTheLogAtDebugLevel() async throws {
        let log = LogCapture()
        try await withScratchDatabase(poolSize: 1, logger: log.logger(level: .debug)) { pool in
            try await pool.withConnection { connection in
                try await connection.script("do $$ begin raise notice 'hello from the server'; end $$")
            }
        }
        #expect(
            log.entries.contains {
                $0.message == "Notice from the server" && $0.metadata["db.message"] == "hello from the server"
            })
    }

    @Test func closingFailsWhatIsUnderWay() async throws {
        try await withConnection { connection in
            let pid = try await connection.backendPID()
            let task = Task { try await connection.query("select pg_sleep(60)") }
            try await waitUntilRunning("pg_sleep", pid: pid)
            await connection.close()
            let error = await #expect(throws: PostgresError.self) { try await task.value }
            #expect(error?.code == .closed)
            await #expect(throws: PostgresError.self) { try await connection.query("select 1") }
        }
    }
}
