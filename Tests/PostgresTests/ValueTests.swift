import FoundationEssentials
import Postgres
import TestSupport
import Testing

private enum Colour: String, PostgresEncodable, PostgresDecodable { case red, green }

private struct JobID: RawRepresentable, Hashable, PostgresEncodable, PostgresDecodable, Sendable {
    let rawValue: Int
}

private struct Document: Codable, Equatable {
    var title: String
    var pages: [Int]
    var parent: String?
}

/// Values of every type, to the server and back.
@Suite(.timeLimit(.minutes(2))) struct ValueTests {
    /// Sends each value with the cast and expects it back, alone and as a possible NULL.
    private func expectRoundTrip<Value: PostgresEncodable & PostgresDecodable & Equatable>(
        _ values: [Value], as type: String, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            for start in stride(from: 0, to: values.count, by: 200) {
                let batch = Array(values[start..<min(start + 200, values.count)])
                let answers = try await pool.pipeline(
                    batch.map {
                        "select \($0)::\(unescaped: type) as value, \(Optional($0))::\(unescaped: type) as maybe"
                    })
                for (value, rows) in zip(batch, answers) {
                    let back: Value = try rows[0]["value"]
                    let maybe: Value? = try rows[0]["maybe"]
                    #expect(back == value, sourceLocation: sourceLocation)
                    #expect(maybe == value, sourceLocation: sourceLocation)
                }
            }
            let rows = try await pool.query("select \(Value?.none)::\(unescaped: type) as value")
            let none: Value? = try rows[0]["value"]
            #expect(none == nil, sourceLocation: sourceLocation)
            #expect(throws: PostgresError.self) { try rows[0].decode("value", as: Value.self) }
        }
    }

    @Test func integers() async throws {
        var generator = SeededGenerator(seed: 1)
        let edges = [0, 1, -1, Int.max, Int.min, 1 << 31, -(1 << 31)]
        try await expectRoundTrip(
            edges + (0..<300).map { _ in Int.random(in: .min ... .max, using: &generator) }, as: "int8")
        try await expectRoundTrip([Int32.min, -1, 0, 1, .max], as: "int4")
        try await expectRoundTrip([Int64.min, 0, .max], as: "int8")
    }

    @Test func numbers() async throws {
        var generator = SeededGenerator(seed: 2)
        let edges = [0, -0.0, 1.5, .pi, .greatestFiniteMagnitude, .leastNonzeroMagnitude, .infinity, -.infinity]
        let random = (0..<500).map { _ in Double(bitPattern: generator.next()) }.filter { !$0.isNaN }
        try await expectRoundTrip(edges + random, as: "float8")
    }

    @Test func notANumber() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            let back: Double = try await pool.query("select \(Double.nan) as value")[0]["value"]
            #expect(back.isNaN)
        }
    }

    @Test func booleans() async throws {
        try await expectRoundTrip([true, false], as: "bool")
    }

    @Test func text() async throws {
        var generator = SeededGenerator(seed: 3)
        let edges = [
            "", " ", "'", "\\", "\"", "$1", "a\tb\nc\r\u{8}", "Ärger", "日本語", "👩‍👩‍👧‍👦", "e\u{301}", "\u{10FFFF}", "NULL",
            "{}", "\\N",
        ]
        let random = (0..<500).map { _ in
            String(
                String.UnicodeScalarView(
                    (0..<Int.random(in: 0...40, using: &generator)).compactMap { _ in
                        Unicode.Scalar(UInt32.random(in: 1...0x10FFFF, using: &generator))
                    }))
        }
        try await expectRoundTrip(edges + random, as: "text")
    }

    @Test func bytes() async throws {
        var generator = SeededGenerator(seed: 4)
        let random = (0..<100).map { _ in
            (0..<Int.random(in: 0...300, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
        }
        try await expectRoundTrip([[], [0], Array(0...255)] + random, as: "bytea")
    }

    @Test func tenMegabytesOfBytes() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            let big = (0..<10_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let rows = try await pool.query("select \(big) as value, length(\(big)) as length")
            #expect(try rows[0].decode("length", as: Int.self) == big.count)
            #expect(try rows[0].decode("value", as: [UInt8].self) == big)
        }
    }

    @Test func datesKeepTheirMicroseconds() async throws {
        var generator = SeededGenerator(seed: 5)
        let dates = (0..<500).map { _ in
            Date(
                timeIntervalSinceReferenceDate: Double(
                    Int64.random(in: -3_000_000_000_000_000...3_000_000_000_000_000, using: &generator)) / 1e6)
        }
        let edges = [-62_135_596_800.0, -62_135_596_801, 0, 253_402_300_799, 253_402_300_800].map(
            Date.init(timeIntervalSince1970:))
        try await expectRoundTrip(edges + dates, as: "timestamptz")
    }

    @Test func dateArithmeticOfTheServerAgrees() async throws {
        var generator = SeededGenerator(seed: 6)
        let microseconds = (0..<500).map { _ in
            Int64.random(in: -60_000_000_000_000_000...250_000_000_000_000_000, using: &generator)
        }
        try await withScratchDatabase(poolSize: 1) { pool in
            let answers = try await pool.pipeline(
                microseconds.map {
                    "select timestamptz 'epoch' + \($0) * interval '1 microsecond' as value, "
                        + "\(Date(timeIntervalSince1970: Double($0) / 1e6)) - timestamptz 'epoch' - \($0) * interval '1 microsecond' as rest"
                })
            for (number, rows) in zip(microseconds, answers) {
                let date: Date = try rows[0]["value"]
                #expect(abs(date.timeIntervalSince1970 - Double(number) / 1e6) < 0.000_04)
            }
        }
    }

    @Test(arguments: ["infinity", "-infinity"])
    func infiniteTimestampsAreATypedError(value: String) async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            let rows = try await pool.query("select \(value)::timestamptz as ends_at")
            let error = #expect(throws: PostgresError.self) { try rows[0].decode("ends_at", as: Date.self) }
            #expect(error?.code == .decodingFailed)
            #expect(error?.column == "ends_at")
            #expect(try rows[0].decode("ends_at", as: String.self) == value)
        }
    }

    @Test func identifiersAndEnums() async throws {
        try await expectRoundTrip((0..<50).map { _ in UUID() }, as: "uuid")
        try await expectRoundTrip([Colour.red, .green], as: "text")
        try await expectRoundTrip([JobID(rawValue: 7)], as: "int8")
        try await withScratchDatabase(poolSize: 1) { pool in
            let rows = try await pool.query("select 'blue' as value")
            #expect(throws: PostgresError.self) { try rows[0].decode("value", as: Colour.self) }
        }
    }

    @Test func json() async throws {
        try await expectRoundTrip(
            [
                Jsonb(Document(title: "Größe \"x\" \\ /", pages: [1, 2], parent: nil)),
                Jsonb(Document(title: "", pages: [], parent: "up")),
            ], as: "jsonb")
        try await expectRoundTrip([JSONText(#"{"b": 1,  "a": [true, null]}"#)], as: "json")
    }

    @Test func arrays() async throws {
        try await expectRoundTrip([[], [1], [.max, .min, 0]], as: "int8[]")
        try await expectRoundTrip(
            [[], [""], ["NULL", "null", "a,b", "{}", "\"", "\\", " ", "é\n"], ["a", "b"]], as: "text[]")
        try await expectRoundTrip([[UUID(), UUID()]], as: "uuid[]")
        try await withScratchDatabase(poolSize: 1) { pool in
            let rows = try await pool.query(
                "select array['a', null] as nulls, '{{1,2}}'::int[] as deep, '[0:1]={1,2}'::int[] as odd")
            #expect(throws: PostgresError.self) { try rows[0].decode("nulls", as: [String].self) }
            #expect(throws: PostgresError.self) { try rows[0].decode("deep", as: [Int].self) }
            #expect(throws: PostgresError.self) { try rows[0].decode("odd", as: [Int].self) }
            let found = try await pool.query("select 2 = any(\([1, 2, 3])) as found")
            #expect(try found[0]["found"] == true)
        }
    }

    @Test func valuesThatCannotBeSentFailBeforeAnythingIsSent() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            for sql: SQL in [
                "select \("a\0b")", "select \(["a\0b"])", "select \(Date(timeIntervalSince1970: .infinity))",
            ] {
                let error = await #expect(throws: PostgresError.self) { try await pool.query(sql) }
                #expect(error?.code == .invalidParameter)
                #expect(error?.message.hasPrefix("parameter $1") == true)
            }
            // Nothing was sent, so the transaction is still good.
            try await pool.withTransaction { transaction in
                _ = try await transaction.query("create table t (id int)")
                await #expect(throws: PostgresError.self) { try await transaction.query("select \("\0")") }
            }
            #expect(try await pool.query("select * from t").isEmpty)
        }
    }

    @Test func rowsAreACollection() async throws {
        try await withScratchDatabase(poolSize: 1) { pool in
            let rows = try await pool.query(
                "select n, 'row ' || n as name, null::text as nothing from generate_series(1, 5) n")
            #expect(rows.count == 5)
            #expect(rows.columns == ["n", "name", "nothing"])
            #expect(try rows.map { try $0.decode("n", as: Int.self) } == [1, 2, 3, 4, 5])
            let (number, name, nothing) = try rows[4].decode(Int.self, String.self, String?.self)
            #expect(number == 5 && name == "row 5" && nothing == nil)
            #expect(throws: PostgresError.self) { try rows[0].decode("missing", as: Int.self) }
            #expect(throws: PostgresError.self) { try rows[0].decode(3, as: Int.self) }
            #expect(throws: PostgresError.self) { try rows[0].decode("name", as: Int.self) }
            let none = try await pool.query("select 1 as n where false")
            #expect(none.isEmpty && none.columns == ["n"])
        }
    }
}
