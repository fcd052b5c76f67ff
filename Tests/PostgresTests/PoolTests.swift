import Postgres
import ServiceLifecycle
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct PoolTests {
    @Test func manyTasksShareFewConnections() async throws {
        try await withScratchDatabase(poolSize: 4) { pool in
            _ = try await pool.query("create table t (id int primary key)")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for id in 0..<200 {
                    group.addTask {
                        try await pool.withTransaction { transaction in
                            _ = try await transaction.query("insert into t values (\(id))")
                            _ = try await transaction.query("select pg_sleep(0.001)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            let count: Int = try await pool.query("select count(*) as n from t")[0]["n"]
            #expect(count == 200)
            #expect(pool.connectionCounts == (4, 0))
        }
    }

    @Test func callersAreServedInTheOrderTheyCame() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            let (served, report) = AsyncStream.makeStream(of: Int.self)
            try await withThrowingTaskGroup(of: Void.self) { group in
                try await pool.withConnection { _ in
                    for number in 0..<20 {
                        group.addTask { try await pool.withConnection { _ in _ = report.yield(number) } }
                        // Only once this one waits may the next one come.
                        try await waitUntil { pool.waitingCount == number + 1 }
                    }
                }
                try await group.waitForAll()
            }
            report.finish()
            let order = await served.reduce(into: [Int]()) { $0.append($1) }
            #expect(order == Array(0..<20))
        }
    }

    @Test func waitingForAConnectionIsBounded() async throws {
        try await withScratchDatabase(poolSize: 1) { scratch in
            let pool = PostgresPool(
                configuration: scratch.configuration, size: 1, acquireTimeout: .seconds(2), logger: .silent)
            try await pool.withConnection { _ in
                let error = await #expect(throws: PostgresError.self) { try await pool.query("select 1") }
                #expect(error?.code == .poolTimeout)
                #expect(error?.isRetriable == true)
            }
            _ = try await pool.query("select 1")
            await pool.shutDown()
        }
    }

    @Test func cancellingAWaitingCallerFreesItsPlace() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            let waiting = try await pool.withConnection { _ in
                let first = Task { try await pool.query("select 1") }
                try await waitUntil { pool.waitingCount == 1 }
                first.cancel()
                await #expect(throws: CancellationError.self) { try await first.value }
                return pool.waitingCount
            }
            #expect(waiting == 0)
            _ = try await pool.query("select 1")
        }
    }

    /// Cancels while connections change hands, at every moment there is.
    @Test func cancelledCallersNeverKeepAConnection() async throws {
        try await withScratchDatabase(poolSize: 2) { pool in
            for round in 0..<30 {
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<20 { group.addTask { _ = try? await pool.query("select pg_sleep(0.001)") } }
                    for _ in 0..<(round * 5) { await Task.yield() }
                    group.cancelAll()
                }
            }
            try await waitUntil { pool.connectionCounts.inUse == 0 }
            #expect(pool.connectionCounts.all <= 2)
            _ = try await pool.query("select 1")
        }
    }

    @Test func aBackendThatDiesInTheMiddleIsARetriableErrorAndTheNextCallWorks() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            let pid = try await pool.withConnection { try await $0.backendPID() }
            let task = Task { try await pool.query("select pg_sleep(60)") }
            try await waitUntilRunning("pg_sleep", pid: pid)
            try await terminate(pid)
            let error = await #expect(throws: PostgresError.self) { try await task.value }
            #expect(error?.code == .connectionLost)
            #expect(error?.sqlState == .adminShutdown)
            #expect(error?.isRetriable == true)
            #expect(try await pool.query("select 1").count == 1)
        }
    }

    @Test func aBackendThatDiesInATransactionIsNeverReplacedSilently() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            _ = try await pool.query("create table t (id int)")
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.query("insert into t values (1)")
                    let pid: Int = try await transaction.query("select pg_backend_pid() as pid")[0]["pid"]
                    try await terminate(pid)
                    _ = try await transaction.query("insert into t values (2)")
                }
            }
            #expect(error?.isRetriable == true)
            #expect(error?.isCommitUnknown == false)
            #expect(try await pool.query("select * from t").isEmpty)
        }
    }

    @Test func idleConnectionsThatDieAreReplacedWithoutAWord() async throws {
        try await withScratchDatabase(poolSize: 4) { pool in
            for _ in 0..<10 {
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<4 { group.addTask { _ = try? await pool.query("select pg_sleep(0.01)") } }
                }
                try await withConnection { other in
                    _ = try await other.query(
                        """
                        select pg_terminate_backend(pid, 5000) from pg_stat_activity
                        where datname = \(pool.configuration.database)::text
                        """)
                }
                #expect(try await pool.query("select 1").count == 1)
                try await pool.withTransaction { transaction in _ = try await transaction.query("select 1") }
            }
        }
    }

    @Test func aWrongPasswordFailsAtOnceAndIsNotShown() async throws {
        let configuration = try DatabaseServer().configuration.withParameter("password", "not-the-password")
        let pool = PostgresPool(configuration: configuration, size: 2, acquireTimeout: .seconds(60), logger: .silent)
        let error = await #expect(throws: PostgresError.self) { try await pool.query("select 1") }
        #expect(error?.code == .authenticationFailed)
        #expect(error?.sqlState == .invalidPassword)
        #expect(error?.isRetriable == false)
        #expect("\(String(reflecting: error))".contains("not-the-password") == false)
        await pool.shutDown()
    }

    @Test func aDatabaseThatDoesNotExistFailsAtOnce() async throws {
        let configuration = try DatabaseServer().configuration.withDatabase("neff_no_such_database")
        let pool = PostgresPool(configuration: configuration, size: 1, acquireTimeout: .seconds(60), logger: .silent)
        let error = await #expect(throws: PostgresError.self) { try await pool.query("select 1") }
        #expect(error?.sqlState == .unknownDatabase)
        #expect(error?.isRetriable == false)
        await pool.shutDown()
    }

    @Test func aServerThatIsAwayIsARetriableErrorThatNamesTheCause() async throws {
        // Port 1 is reserved and nobody listens there.
        let configuration = try PostgresConfiguration(url: "postgres://u:secret@127.0.0.1:1/x", applicationName: "t")
        let pool = PostgresPool(
            configuration: configuration, size: 1, acquireTimeout: .milliseconds(300), logger: .silent)
        let error = await #expect(throws: PostgresError.self) { try await pool.query("select 1") }
        #expect(error?.code == .connectionFailed)
        #expect(error?.isRetriable == true)
        #expect(error?.description.contains("127.0.0.1") == true)
        await pool.shutDown()
    }

    @Test func shuttingDownWaitsForBorrowersAndRefusesNewcomers() async throws {
        try await withScratchDatabase(poolSize: 2) { pool in
            let (started, start) = AsyncStream.makeStream(of: Void.self)
            let work = Task {
                try await pool.withTransaction { transaction in
                    start.yield()
                    return try await transaction.query("select pg_sleep(0.2), 1 as n")
                }
            }
            _ = await started.first { _ in true }
            await pool.shutDown()
            let rows = try await work.value.count
            #expect(rows == 1)
            let error = await #expect(throws: PostgresError.self) { try await pool.query("select 1") }
            #expect(error?.code == .closed)
            #expect(pool.connectionCounts == (0, 0))
        }
    }

    @Test func shuttingDownIsBounded() async throws {
        try await withScratchDatabase(poolSize: 1) { scratch in
            let pool = PostgresPool(
                configuration: scratch.configuration, size: 1, shutdownTimeout: .milliseconds(50), logger: .silent)
            let pid = try await pool.withConnection { try await $0.backendPID() }
            let work = Task { try await pool.query("select pg_sleep(60)") }
            try await waitUntilRunning("pg_sleep", pid: pid)
            await pool.shutDown()
            let error = await #expect(throws: PostgresError.self) { try await work.value }
            #expect(error?.code == .closed)
        }
    }

    @Test func runReturnsAfterAGracefulShutdown() async throws {
        try await withScratchDatabase(poolSize: 2) { scratch in
            let pool = PostgresPool(
                configuration: scratch.configuration, size: 2, healthCheckInterval: .milliseconds(5), logger: .silent)
            let group = ServiceGroup(services: [pool], logger: .silent)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await group.run() }
                // Checks of idle connections come between these.
                for _ in 0..<200 { _ = try await pool.query("select 1") }
                await group.triggerGracefulShutdown()
                try await tasks.waitForAll()
            }
            #expect(pool.connectionCounts == (0, 0))
        }
    }

    @Test func healthChecksFindConnectionsThatDoNotAnswer() async throws {
        let proxy = try FaultProxy(to: DatabaseServer().configuration)
        defer { proxy.stop() }
        let pool = PostgresPool(
            configuration: proxy.configuration, size: 1, healthCheckInterval: .milliseconds(20), logger: .silent)
        let run = Task { try await pool.run() }
        _ = try await pool.query("select 1")
        proxy.isSilent = true
        try await waitUntil { pool.connectionCounts.all == 0 }
        proxy.isSilent = false
        _ = try await pool.query("select 1")
        run.cancel()
        try await run.value
    }
}

/// Ends another session.
func terminate(_ pid: Int) async throws {
    try await withConnection { other in _ = try await other.query("select pg_terminate_backend(\(Int32(pid)), 5000)") }
}
