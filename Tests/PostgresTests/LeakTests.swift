import Glibc
import Postgres
import TestSupport
import Testing

/// What is used up must come back. Other suites run beside it in the same process, so the counts get time to settle and
/// are compared with room: a leak of one for each connection would be three times as large.
@Suite(.timeLimit(.minutes(3))) struct LeakTests {
    @Test func tenThousandQueriesAndThreeHundredConnectionsLeaveNothingBehind() async throws {
        let server = try DatabaseServer()
        // The process as it is after some work, with everything lazy set up.
        for _ in 0..<5 { try await connectAndClose(server) }
        let before = (descriptors: count(in: "/proc/self/fd"), threads: count(in: "/proc/self/task"))
        try await withScratchDatabase(poolSize: 4) { pool in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        for number in 0..<2500 { _ = try await pool.query("select \(number) as n, \("text") as t") }
                    }
                }
                try await group.waitForAll()
            }
            #expect(pool.connectionCounts == (4, 0))
        }
        for _ in 0..<300 { try await connectAndClose(server) }
        try await waitUntil { try await leftBehind(server) == 0 }
        try await waitUntil {
            count(in: "/proc/self/fd") <= before.descriptors + 100
                && count(in: "/proc/self/task") <= before.threads + 100
        }
    }

    private func count(in path: String) -> Int {
        guard let directory = opendir(path) else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        return count
    }

    @Test func droppedConnectionsAndPoolsFreeTheirSessions() async throws {
        let server = try DatabaseServer()
        for _ in 0..<50 {
            let connection = try await PostgresConnection.connect(named(server), logger: .silent)
            _ = try await connection.query("select 1")
            let pool = PostgresPool(configuration: named(server), size: 1, logger: .silent)
            _ = try await pool.query("select 1")
        }
        try await waitUntil { try await leftBehind(server) == 0 }
    }

    private func named(_ server: DatabaseServer) -> PostgresConfiguration {
        server.configuration.withParameter("application_name", "neff-leak-\(getpid())")
    }

    private func connectAndClose(_ server: DatabaseServer) async throws {
        let connection = try await PostgresConnection.connect(named(server), logger: .silent)
        _ = try await connection.query("select 1")
        await connection.close()
    }

    private func leftBehind(_ server: DatabaseServer) async throws -> Int {
        var count = 0
        try await withConnection { observer in
            count = try await observer.query(
                "select count(*) as n from pg_stat_activity where application_name = \("neff-leak-\(getpid())")::text")[
                    0]["n"]
        }
        return count
    }
}
