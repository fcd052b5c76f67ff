import FoundationEssentials
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct CopyTests {
    private let columns = ["id", "name", "raw", "at", "score", "odd \"name"]

    private func withTable(_ body: (PostgresPool) async throws -> Void) async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            _ = try await pool.query(
                """
                create table t (id int primary key, name text, raw bytea, at timestamptz, score float8, "odd ""name" bool)
                """)
            try await body(pool)
        }
    }

    @Test func everyValueArrives() async throws {
        try await withTable { pool in
            let names = ["plain", "tab\t line\n return\r back\\slash", "\\N", "", "é👩‍👩‍👧‍👦", "\\."]
            let at = Date(timeIntervalSince1970: 1_774_000_000.25)
            let rows: [[any PostgresEncodable]] = names.enumerated().map { index, name in
                [index, name, [UInt8](0...255), at, -1.5, index.isMultiple(of: 2)]
            }
            let empty: [any PostgresEncodable] = [
                99, String?.none, [UInt8]?.none, Date?.none, Double?.none, Bool?.none,
            ]
            let count = try await pool.withTransaction { transaction in
                try await transaction.copyIn("public.t", columns: columns, rows: rows + [empty])
            }
            #expect(count == names.count + 1)
            let back = try await pool.query("select * from t order by id")
            #expect(try back.dropLast().map { try $0.decode("name", as: String.self) } == names)
            #expect(try back[0].decode("raw", as: [UInt8].self) == [UInt8](0...255))
            #expect(try back[0].decode("at", as: Date.self) == at)
            #expect(try back[6].decode("name", as: String?.self) == nil)
        }
    }

    @Test func itIsPartOfItsTransaction() async throws {
        struct Stop: Error {}
        try await withTable { pool in
            await #expect(throws: Stop.self) {
                try await pool.withTransaction { transaction in
                    #expect(try await transaction.copyIn("t", columns: ["id"], rows: [[1], [2]]) == 2)
                    throw Stop()
                }
            }
            let isEmpty = try await pool.query("select * from t").isEmpty
            #expect(isEmpty)
        }
    }

    @Test func manyMegabytesFlowWithBackpressure() async throws {
        try await withTable { pool in
            let text = String(repeating: "x", count: 1000)
            let rows: [[any PostgresEncodable]] = (0..<20_000).map { [$0, text] }
            let count = try await pool.withTransaction { transaction in
                try await transaction.copyIn("t", columns: ["id", "name"], rows: rows)
            }
            #expect(count == 20_000)
            let sum: Int = try await pool.query("select sum(length(name)) as sum from t")[0]["sum"]
            #expect(sum == 20_000_000)
        }
    }

    @Test func aRowThatIsRefusedLeavesTheConnectionUsable() async throws {
        try await withTable { pool in
            let error = await #expect(throws: PostgresError.self) {
                try await pool.withTransaction { transaction in
                    try await transaction.copyIn("t", columns: ["id"], rows: (0..<50_000).map { [$0 % 40_000] })
                }
            }
            #expect(error?.sqlState == .uniqueViolation)
            let isEmpty = try await pool.query("select * from t").isEmpty
            #expect(isEmpty)
            #expect(pool.connectionCounts.all == 1)
        }
    }

    @Test func aRowOfAnotherLengthOrAValueThatCannotBeSentIsRefusedBefore() async throws {
        try await withTable { pool in
            try await pool.withTransaction { transaction in
                for rows: [[any PostgresEncodable]] in [[[1], [2, "x"]], [["a\0b"]]] {
                    let error = await #expect(throws: PostgresError.self) {
                        try await transaction.copyIn("t", columns: ["id"], rows: rows)
                    }
                    #expect(error?.code == .invalidParameter)
                }
                _ = try await transaction.query("insert into t (id) values (1)")
            }
        }
    }

    @Test func cancellingStopsTheFlow() async throws {
        try await withTable { pool in
            // A lock makes sure that the COPY cannot end by itself.
            let other = try await PostgresConnection.connect(pool.configuration, logger: .silent)
            _ = try await other.query("begin")
            _ = try await other.query("lock table t")
            let pid = try await pool.withConnection { try await $0.backendPID() }
            let task = Task {
                try await pool.withTransaction { transaction in
                    try await transaction.copyIn("t", columns: ["id"], rows: (0..<100_000).map { [$0] })
                }
            }
            try await waitUntilRunning("copy", pid: pid)
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            await other.close()
            #expect(try await pool.query("select * from t").isEmpty)
        }
    }
}
