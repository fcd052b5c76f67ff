import OwnerThread
import TestSupport
import Testing

@testable import AMQP

/// What must hold for any table and any bytes whatever; see `counterexample` for how to try more of them.
@Suite(.timeLimit(.minutes(60))) struct FieldTablePropertyTests {
    /// What `measure` says goes out is what goes out, and what comes back.
    @Test func tablesSurviveTheWire() {
        let found = counterexample(in: 3_000) { random in
            let table = random.fields(depth: random.oneIn(20) ? 10 : 3)
            let bytes = try TableWire.encode(table)
            guard try WireSize.measure(table).get() == bytes.count else { return "measured wrongly: \(table)" }
            return TableWire.decode(bytes) == table ? nil : "\(table)"
        }
        #expect(found == nil)
    }

    /// Damage is refused or read as something within the limits, which can be sent on unless a name has become too long or
    /// too short for the protocol.
    @Test func damagedTablesAreRefusedOrWithinTheLimits() {
        var refused = 0
        let found = counterexample(in: 6_000) { random in
            let bytes = random.damaged(
                try TableWire.encode(random.fields()), tokens: ["A", "F", "S", "x", "\u{0}\u{0}\u{0}", "t"])
            guard let table = TableWire.decode(bytes) else {
                refused += 1
                return nil
            }
            guard Self.fits(.table(table)) else { return "\(bytes)" }
            switch WireSize.measure(table) {
            case .failure(let objection): return objection.reason.contains("name") ? nil : "\(objection): \(bytes)"
            case .success(let size):
                let again = try TableWire.encode(table)
                guard size == again.count else { return "measured wrongly: \(bytes)" }
                // Compared as bytes: a number may have become one that is not equal to itself.
                let back = try #require(TableWire.decode(again))
                return try TableWire.encode(back).count == again.count ? nil : "\(bytes)"
            }
        }
        #expect(found == nil)
        #expect(refused > 0)
    }

    private static func fits(_ value: FieldValue) -> Bool {
        var count = 0
        var level = [value]
        for _ in 0...FieldValue.maxDepth {
            level = level.flatMap { $0.array ?? $0.table.map { Array($0.values) } ?? [] }
            count += level.count
        }
        return level.isEmpty && count <= FieldValue.maxCount
    }

    /// As deep as one frame can be, on an owner thread: the library recurses without a limit of its own.
    @Test(arguments: ["A", "F"] as [Unicode.Scalar]) func theDeepestFrameFitsOnTheStack(_ kind: Unicode.Scalar) async {
        let size = kind == "A" ? 5 : 7
        let depth = (Link.frameMax - 100) / size
        var content: [UInt8] = []
        for level in 1...depth {
            let rest = (depth - level) * size
            content += kind == "A" ? TableWire.element(kind, length: rest) : TableWire.entry(kind, length: rest)
        }
        let bytes = TableWire.table(kind: kind, content: content)
        let thread = OwnerThread(name: "deep")
        let table = await withCheckedContinuation { continuation in
            thread.schedule(after: .zero) { continuation.resume(returning: TableWire.decode(bytes)) }
        }
        thread.stop()
        // Refused or cut, either will do.
        #expect(table.map { Self.fits(.table($0)) } ?? true)
    }

    /// Many values in few bytes: what is kept is bounded, whatever the frame holds.
    @Test func theFullestFrameIsCutToTheLimit() throws {
        let elements = [UInt8](repeating: UInt8(ascii: "V"), count: Link.frameMax - 100)
        let table = TableWire.table(kind: "A", content: elements)
        let values = try #require(TableWire.decode(table)?["k"]?.array)
        #expect(values.count == FieldValue.maxCount - 1)
    }
}
