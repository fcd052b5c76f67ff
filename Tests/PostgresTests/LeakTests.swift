import Glibc
import Postgres
import TestSupport
import Testing

/// What is used up must come back, on both sides of the connection.
@Suite(.timeLimit(.minutes(3))) struct LeakTests {
    @Test func tenThousandQueriesAndThreeHundredConnectionsLeaveNothingBehind() async {
        await #expect(processExitsWith: .success) {
            let server = try DatabaseServer()
            // The process as it is after some work, with everything lazy set up.
            try await LeakTests.use(server, queries: 2_000, connections: 5)
            let before = try ProcessCensus()

            try await LeakTests.use(server, queries: 10_000, connections: 300)
            let left = try await ProcessCensus.excess(over: before)
            #expect(left.isEmpty, "left by 10,000 queries in a pool of 4 and 300 connections: \(left)")
            let sessions = try await LeakTests.sessions(on: server)
            #expect(sessions == 0, "\(sessions) sessions left on the server")
            let growth = try ProcessCensus().residentKiB - before.residentKiB
            // A result that is not freed takes 2 KiB or more.
            #expect(growth < 15_000 || ProcessCensus.isSanitized, "\(growth) KiB more after 10,000 queries")
        }
    }

    @Test func droppedConnectionsAndPoolsFreeTheirSessions() async {
        await #expect(processExitsWith: .success) {
            let server = try DatabaseServer()
            try await LeakTests.drop(server, times: 2)
            let before = try ProcessCensus()
            try await LeakTests.drop(server, times: 50)
            let left = try await ProcessCensus.excess(over: before)
            #expect(left.isEmpty, "left by 50 connections and 50 pools without a goodbye: \(left)")
            let sessions = try await LeakTests.sessions(on: server)
            #expect(sessions == 0, "\(sessions) sessions left on the server")
        }
    }

    private static func use(_ server: DatabaseServer, queries: Int, connections: Int) async throws {
        try await withScratchDatabase(poolSize: 4) { pool in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        for number in 0..<queries / 4 {
                            _ = try await pool.query("select \(number) as n, \("text") as t")
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(pool.connectionCounts == (4, 0))
        }
        for _ in 0..<connections {
            let connection = try await PostgresConnection.connect(named(server), logger: .silent)
            _ = try await connection.query("select 1")
            await connection.close()
        }
    }

    private static func drop(_ server: DatabaseServer, times: Int) async throws {
        for _ in 0..<times {
            let connection = try await PostgresConnection.connect(named(server), logger: .silent)
            _ = try await connection.query("select 1")
            let pool = PostgresPool(configuration: named(server), size: 1, logger: .silent)
            _ = try await pool.query("select 1")
        }
    }

    private static func named(_ server: DatabaseServer) -> PostgresConfiguration {
        server.configuration.withParameter("application_name", "neff-leak-\(getpid())")
    }

    /// The sessions that the server still has for this process; it ends them a moment after the connection.
    private static func sessions(on server: DatabaseServer) async throws -> Int {
        var count = 0
        try await withConnection { observer in
            for _ in 0..<500 {
                count = try await observer.query(
                    "select count(*) as n from pg_stat_activity where application_name = \("neff-leak-\(getpid())")::text"
                )[
                    0]["n"]
                if count == 0 { return }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        return count
    }
}
