import TestSupport
import Testing

@testable import Postgres

/// Batches whose answer never came, whatever ended the wait.
@Suite(.timeLimit(.minutes(2))) struct UnansweredTests {
    private let batch: [SQL] = ["insert into t values (1)", "insert into t values (2)"]

    /// The server commits and falls silent; our own watchdog ends the connection.
    @Test(arguments: [true, false]) func aBatchThatIsGivenUpOnIsUnknown(isPooled: Bool) async throws {
        try await withScratchDatabase { direct in
            _ = try await direct.query("create table t (id int)")
            let proxy = try FaultProxy(to: direct.configuration)
            defer { proxy.stop() }
            var configuration = proxy.configuration
            configuration.statementTimeout = .milliseconds(50)
            configuration.silenceAllowance = .milliseconds(300)
            proxy.when("insert into t", .holdAnswer)
            let error: PostgresError?
            if isPooled {
                let pool = PostgresPool(configuration: configuration, size: 1, logger: .silent)
                error = await #expect(throws: PostgresError.self) { try await pool.pipeline(batch) }
                await pool.shutDown()
            } else {
                let connection = try await PostgresConnection.connect(configuration, logger: .silent)
                error = await #expect(throws: PostgresError.self) { try await connection.pipeline(batch) }
            }
            #expect(error?.code == .timeout)
            #expect(error?.isCommitUnknown == true)
            #expect(error?.isRetriable == false)
            try await waitUntil { try await direct.query("select * from t").count == 2 }
        }
    }

    @Test func aBatchThatALateShutdownEndsIsUnknown() async throws {
        try await withScratchDatabase { direct in
            _ = try await direct.query("create table t (id int)")
            let proxy = try FaultProxy(to: direct.configuration)
            defer { proxy.stop() }
            let pool = PostgresPool(
                configuration: proxy.configuration, size: 1, shutdownTimeout: .milliseconds(50), logger: .silent)
            proxy.when("insert into t", .holdAnswer)
            let work = Task { try await pool.pipeline(batch) }
            try await waitUntil { proxy.isHolding }
            await pool.shutDown()
            let error = await #expect(throws: PostgresError.self) { try await work.value }
            #expect(error?.code == .closed)
            #expect(error?.isCommitUnknown == true)
            #expect(try await direct.query("select * from t").count == 2)
        }
    }

    @Test func aBatchThatWasNeverSentIsKnown() async throws {
        let pool = PostgresPool(
            configuration: try DatabaseServer().configuration, size: 1, acquireTimeout: .seconds(2),
            logger: .silent)
        let late = try await pool.withConnection { _ in
            await #expect(throws: PostgresError.self) { try await pool.pipeline(["select 1"]) }
        }
        #expect(late?.code == .poolTimeout)
        #expect(late?.isCommitUnknown == false)
        await pool.shutDown()
        let closed = await #expect(throws: PostgresError.self) { try await pool.pipeline(["select 1"]) }
        #expect(closed?.code == .closed)
        #expect(closed?.isCommitUnknown == false)
    }

    @Test func aBatchThatTheServerRefusesIsKnown() async throws {
        try await withConnection { connection in
            let error = await #expect(throws: PostgresError.self) {
                try await connection.pipeline(["select 1", "select 1/0"])
            }
            #expect(error?.isCommitUnknown == false)
        }
    }
}
