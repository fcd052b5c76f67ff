import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct SmokeTests {
    @Test func aQueryReturnsRows() async throws {
        try await withScratchDatabase { pool in
            let rows = try await pool.query("select \(7) as n, \("x")::text as t")
            #expect(try rows[0]["n"] == 7)
        }
    }
}
