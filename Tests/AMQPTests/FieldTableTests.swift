import Testing

@testable import AMQP

@Suite struct FieldTableTests {
    private let everything: FieldTable = [
        "bool": true, "i8": .int8(-8), "i16": .int16(-16), "i32": .int32(-32), "i64": -64, "u8": .uint8(8),
        "u16": .uint16(16), "u32": .uint32(32), "f": .float(1.5), "d": 2.5, "dec": .decimal(scale: 2, value: 314),
        "s": "text ü", "empty": "", "x": .bytes([0, 255]), "t": .timestamp(1_700_000_000), "v": nil,
        "a": ["x", 1, ["y"], []], "table": ["k": ["deep": true]], "none": [:],
    ]

    @Test func everyKindOfValueSurvivesTheWire() throws {
        #expect(TableWire.decode(try TableWire.encode(everything)) == everything)
    }

    @Test func measureIsExact() throws {
        for table in [everything, [:], ["k": "v"], ["n": [[[]]]]] {
            let measured = try WireSize.measure(table).get()
            #expect(try measured == TableWire.encode(table).count)
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
        #expect(TableWire.decode(try TableWire.encode(within)) == within)
        let cut = try #require(TableWire.decode(try TableWire.encode(nested(FieldValue.maxDepth + 5))))
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
        let received = try #require(TableWire.decode(try TableWire.encode(long))?["k"]?.array)
        #expect(received.count == FieldValue.maxCount - 1)
    }

    @Test func textThatIsNotUTF8BecomesBytes() throws {
        var bytes = try TableWire.encode(["k": "ab"])
        bytes[bytes.count - 1] = 0xFF
        #expect(TableWire.decode(bytes) == ["k": .bytes([97, 0xFF])])
    }

    @Test(arguments: ["", String(repeating: "n", count: 129)]) func namesHaveOneTo128Bytes(name: String) {
        #expect(throws: WireSize.Objection.self) { try WireSize.measure([name: 1]).get() }
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
