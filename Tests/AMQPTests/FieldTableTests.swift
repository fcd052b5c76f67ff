import CRabbitMQ
import Testing

@testable import AMQP

@Suite struct FieldTableTests {
    private let everything: FieldTable = [
        "bool": true, "i8": .int8(-8), "i16": .int16(-16), "i32": .int32(-32), "i64": -64, "u8": .uint8(8),
        "u16": .uint16(16), "u32": .uint32(32), "f": .float(1.5), "d": 2.5, "dec": .decimal(scale: 2, value: 314),
        "s": "text ü", "empty": "", "x": .bytes([0, 255]), "t": .timestamp(1_700_000_000), "v": nil,
        "a": ["x", 1, ["y"], []], "table": ["k": ["deep": true]], "none": [:],
    ]

    /// The bytes that the library makes of a table.
    private func encode(_ table: FieldTable) throws -> [UInt8] {
        let arena = Arena()
        var raw = arena.table(table)
        var bytes = [UInt8](repeating: 0, count: 131_072)
        var offset = 0
        let status = bytes.withUnsafeMutableBytes { memory in
            amqp_encode_table(amqp_bytes_t(len: memory.count, bytes: memory.baseAddress), &raw, &offset)
        }
        try #require(status == AMQP_STATUS_OK.rawValue)
        return Array(bytes[0..<offset])
    }

    /// What the library and we make of bytes; nil if the library refuses them.
    private func decode(_ bytes: [UInt8]) -> FieldTable? {
        var pool = amqp_pool_t()
        init_amqp_pool(&pool, 4_096)
        defer { empty_amqp_pool(&pool) }
        var bytes = bytes
        return bytes.withUnsafeMutableBytes { memory in
            var raw = amqp_table_t()
            var offset = 0
            let encoded = amqp_bytes_t(len: memory.count, bytes: memory.baseAddress)
            guard amqp_decode_table(encoded, &pool, &raw, &offset) == AMQP_STATUS_OK.rawValue else { return nil }
            return FieldTable(raw)
        }
    }

    @Test func everyKindOfValueSurvivesTheWire() throws {
        #expect(decode(try encode(everything)) == everything)
    }

    @Test func measureIsExact() throws {
        for table in [everything, [:], ["k": "v"], ["n": [[[]]]]] {
            let measured = try WireSize.measure(table).get()
            #expect(try measured == encode(table).count)
        }
    }

    private func nested(_ depth: Int) -> FieldTable {
        ["k": (1..<depth).reduce(FieldValue.int8(1)) { value, _ in .array([value]) }]
    }

    @Test func depthIsLimitedWhenSending() {
        #expect((try? WireSize.measure(nested(FieldValue.maxDepth)).get()) != nil)
        #expect(throws: WireSize.Objection.self) {
            try WireSize.measure(nested(FieldValue.maxDepth + 1)).get()
        }
    }

    @Test func depthIsCutOffWhenReceiving() throws {
        let within = nested(FieldValue.maxDepth)
        #expect(decode(try encode(within)) == within)
        let cut = try #require(decode(try encode(nested(FieldValue.maxDepth + 5))))
        var value = try #require(cut["k"])
        var depth = 1
        while case .array(let elements) = value {
            value = try #require(elements.first)
            depth += 1
        }
        #expect(value == .void)
        #expect(depth == FieldValue.maxDepth)
    }

    @Test func countIsLimitedBothWays() throws {
        let long: FieldTable = ["k": .array(Array(repeating: .void, count: FieldValue.maxCount + 10))]
        #expect(throws: WireSize.Objection.self) { try WireSize.measure(long).get() }
        let received = try #require(decode(try encode(long))?["k"]?.array)
        #expect(received.count == FieldValue.maxCount - 1)
    }

    @Test func textThatIsNotUTF8BecomesBytes() throws {
        var bytes = try encode(["k": "ab"])
        bytes[bytes.count - 1] = 0xFF
        #expect(decode(bytes) == ["k": .bytes([97, 0xFF])])
    }

    @Test(arguments: ["", String(repeating: "n", count: 129)]) func namesHaveOneTo128Bytes(name: String) {
        #expect(throws: WireSize.Objection.self) { try WireSize.measure([name: 1]).get() }
    }

    /// Damaged tables are refused or read as something, never crashed on.
    @Test func damagedTablesDoNoHarm() throws {
        let good = try encode(everything)
        var random = SystemRandomNumberGenerator()
        var refused = 0
        for _ in 0..<20_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if Bool.random(using: &random) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
            if decode(bytes) == nil { refused += 1 }
        }
        #expect(refused > 0)
    }

    @Test func publicationsThatDoNotFitAreNamed() {
        let long = String(repeating: "x", count: 256)
        func objection(_ change: (inout Publication) -> Void) -> String? {
            var publication = Publication(exchange: "e", routingKey: "k", body: [])
            change(&publication)
            return WireSize.objection(to: publication, frameMax: 4_096)
        }
        #expect(objection { _ in } == nil)
        #expect(objection { $0.exchange = long }?.contains("exchange") == true)
        #expect(objection { $0.routingKey = long }?.contains("routing key") == true)
        #expect(objection { $0.properties.messageID = long }?.contains("message id") == true)
        #expect(
            objection { $0.properties.headers = ["h": .string(String(repeating: "x", count: 5_000))] }?.contains(
                "frame") == true)
        #expect(
            objection { $0.body = Array(repeating: 0, count: Publication.maxBodyBytes + 1) }?.contains("body") == true)
    }
}
