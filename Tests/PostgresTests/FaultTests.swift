import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct FaultTests {
    /// The server commits, and the answer never arrives.
    @Test func aLostAnswerToACommitIsUnknownAndNotRetriable() async throws {
        try await withScratchDatabase { direct in
            _ = try await direct.query("create table t (id int)")
            let proxy = try FaultProxy(to: direct.configuration)
            defer { proxy.stop() }
            let pool = PostgresPool(configuration: proxy.configuration, size: 1, logger: .silent)
            proxy.when("commit\0", .swallowAnswer)
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.query("insert into t values (1)")
                }
            }
            #expect(error?.isCommitUnknown == true)
            #expect(error?.isRetriable == false)
            #expect(error?.code == .connectionLost)
            #expect(try await direct.query("select * from t").count == 1)
            await pool.shutDown()
        }
    }

    @Test func aServerThatEndsTheSessionDuringTheCommitIsUnknownToo() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            try await pool.withConnection { connection in
                try await connection.script(
                    """
                    create table t (id int);
                    create function die() returns trigger language plpgsql as
                        $$ begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$;
                    create constraint trigger die after insert on t deferrable initially deferred
                        for each row execute function die();
                    """)
            }
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.query("insert into t values (1)")
                }
            }
            #expect(error?.isCommitUnknown == true)
            #expect(error?.sqlState == .adminShutdown)
            #expect(try await pool.query("select * from t").isEmpty)
        }
    }

    @Test func aConstraintThatFailsAtCommitIsKnown() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            _ = try await pool.query("create table t (id int constraint t_id_key unique deferrable initially deferred)")
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.query("insert into t values (1), (1)")
                }
            }
            #expect(error?.isCommitUnknown == false)
            #expect(error?.constraint == "t_id_key")
            #expect(pool.connectionCounts.all == 1)
        }
    }

    @Test func aLostAnswerToABatchIsUnknown() async throws {
        try await withScratchDatabase { direct in
            _ = try await direct.query("create table t (id int)")
            let proxy = try FaultProxy(to: direct.configuration)
            defer { proxy.stop() }
            let pool = PostgresPool(configuration: proxy.configuration, size: 1, logger: .silent)
            proxy.when("insert into t", .swallowAnswer)
            let error = await #expect(throws: PostgresError.self) {
                try await pool.pipeline(["insert into t values (1)", "insert into t values (2)"])
            }
            #expect(error?.isCommitUnknown == true)
            #expect(try await direct.query("select * from t").count == 2)
            await pool.shutDown()
        }
    }

    @Test func aServerThatAcceptsAndSaysNothingTimesOut() async throws {
        let proxy = try FaultProxy(to: DatabaseServer().configuration)
        defer { proxy.stop() }
        proxy.isSilent = true
        var configuration = proxy.configuration
        configuration.connectTimeout = .milliseconds(100)
        let error = await #expect(throws: PostgresError.self) {
            try await PostgresConnection.connect(configuration, logger: .silent)
        }
        #expect(error?.code == .timeout)
        #expect(error?.isRetriable == true)
    }

    @Test func connectingCanBeCancelled() async throws {
        let proxy = try FaultProxy(to: DatabaseServer().configuration)
        defer { proxy.stop() }
        proxy.isSilent = true
        var configuration = proxy.configuration
        configuration.connectTimeout = .seconds(600)
        let task = Task { [configuration] in try await PostgresConnection.connect(configuration, logger: .silent) }
        try await waitUntil { proxy.accepted == 1 }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test func aTaskThatWasCancelledBeforeDoesNotConnect() async throws {
        let configuration = try DatabaseServer().configuration
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await PostgresConnection.connect(configuration, logger: .silent)
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    /// BEGIN goes ahead of a script in a round trip of its own. The script counts with a sequence, which no rollback undoes.
    @Test func aScriptThatIsCancelledDuringItsBeginDoesNotStart() async throws {
        try await withScratchDatabase { direct in
            _ = try await direct.query("create sequence runs")
            let proxy = try FaultProxy(to: direct.configuration)
            defer { proxy.stop() }
            let connection = try await PostgresConnection.connect(proxy.configuration, logger: .silent)
            proxy.when("begin isolation", .holdAnswer)
            let task = Task {
                try await connection.withTransaction { try await $0.script("select nextval('runs')") }
            }
            try await waitUntil { proxy.isHolding }
            task.cancel()
            // The request to cancel is a connection of its own, made after the job was marked.
            try await waitUntil { proxy.accepted == 2 }
            proxy.letGo()
            await #expect(throws: CancellationError.self) { try await task.value }
            _ = try await connection.query("select 1")
            #expect(try await direct.query("select 1 from runs where is_called").isEmpty)
            await connection.close()
        }
    }

    @Test func aCancelledStatementOnASilentServerEndsAllTheSame() async throws {
        let proxy = try FaultProxy(to: DatabaseServer().configuration)
        defer { proxy.stop() }
        let pool = PostgresPool(configuration: proxy.configuration, size: 1, logger: .silent)
        let pid = try await pool.withConnection { try await $0.backendPID() }
        let task = Task { try await pool.query("select pg_sleep(20)") }
        try await waitUntilRunning("pg_sleep", pid: pid)
        proxy.isSilent = true
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        proxy.isSilent = false
        _ = try await pool.query("select 1")
        await pool.shutDown()
    }
}

@Suite struct ConfigurationTests {
    @Test(arguments: ["", "postgres://u:hunter2@h:x:y/%zz", "nonsense", "postgres://u:hunter2@h/d?nosuch=hunter2"])
    func aBadURLIsRefusedWithoutQuotingIt(url: String) {
        let error = #expect(throws: PostgresError.self) { try PostgresConfiguration(url: url, applicationName: "t") }
        #expect(error?.code == .invalidConfiguration)
        #expect(error.map { String(reflecting: $0).contains("hunter2") } == false)
    }

    @Test func nothingShowsThePassword() throws {
        let configuration = try PostgresConfiguration(
            url: "postgres://u:hunter2@db.example:5433/neff?sslmode=verify-full", applicationName: "t")
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", String(reflecting: configuration), dumped] {
            #expect(!text.contains("hunter2"))
            #expect(text.contains("db.example:5433/neff"))
        }
    }

    @Test func theSessionIsSetUpAsTheDecodersNeedIt() async throws {
        try await withConnection { configuration in
            configuration = configuration.withParameter("options", "-c TimeZone=Asia/Tokyo -c statement_timeout=1234")
        } body: { connection in
            let row = try await connection.query(
                """
                select current_setting('TimeZone') as zone, current_setting('DateStyle') as style,
                    current_setting('client_encoding') as encoding, current_setting('statement_timeout') as statement,
                    current_setting('lock_timeout') as lock, current_setting('application_name') as name,
                    current_setting('idle_in_transaction_session_timeout') as idle
                """)[0]
            #expect(try row["zone"] == "UTC")
            #expect(try row.decode("style", as: String.self).hasPrefix("ISO"))
            #expect(try row["encoding"] == "UTF8")
            #expect(try row["statement"] == "1234ms")
            #expect(try row["lock"] == "10s")
            #expect(try row["idle"] == "1min")
            #expect(try row["name"] == "neff-tests")
        }
    }
}
