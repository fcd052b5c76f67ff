package import AMQP
import Foundation

/// A fast generator whose whole sequence follows from its seed: SplitMix64 (Steele, Lea, Flood 2014).
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// Starts the sequence of a seed.
    package init(seed: UInt64) {
        state = seed
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Looks for an input that breaks a property, among as many as the test gets: `FUZZ_ITERATIONS` of the environment if it is
/// set, to run millions, else `standard`.
///
/// Input number n follows from n and `FUZZ_SEED` (0 if it is not set) alone, so that a find can be seen again. An input
/// that ends the process is not caught; the trap's backtrace names the place.
/// - Parameter property: draws an input and tries it; answers what is wrong, or nil. What it throws is wrong too.
/// - Returns: nil if every input holds, else what the first that does not broke, and its number.
package func counterexample(
    in standard: Int, _ property: (inout SeededGenerator) throws -> String?
) -> String? {
    let seed = environment("FUZZ_SEED") ?? 0
    for number in 0..<Int(environment("FUZZ_ITERATIONS") ?? UInt64(standard)) {
        // A step of the generator between neighbours, so that their sequences have nothing in common.
        var seeds = SeededGenerator(seed: seed &+ UInt64(number))
        var random = SeededGenerator(seed: seeds.next())
        var wrong: String?
        do { wrong = try property(&random) } catch { wrong = "\(error)" }
        if let wrong { return "input \(number) of FUZZ_SEED=\(seed): \(wrong)" }
    }
    return nil
}

private func environment(_ name: String) -> UInt64? {
    guard let text = ProcessInfo.processInfo.environment[name] else { return nil }
    guard let number = UInt64(text), number < 1 << 48 else { preconditionFailure("\(name) must be a number: \(text)") }
    return number
}

extension SeededGenerator {
    /// True once in so many times.
    package mutating func oneIn(_ count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }

    /// One of the elements, which must not be none.
    package mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: elements.indices, using: &self)]
    }

    /// An integer that is often at or near a limit of some width.
    package mutating func integer() -> Int64 {
        let edge = Int64(1) << Int64.random(in: 0...62, using: &self)
        switch Int.random(in: 0..<5, using: &self) {
        case 0: return Int64.random(in: -3...3, using: &self)
        case 1: return edge - Int64.random(in: 0...1, using: &self)
        case 2: return -edge - Int64.random(in: 0...1, using: &self)
        case 3: return pick([.min, .max])
        default: return Int64.random(in: .min ... .max, using: &self)
        }
    }

    /// Text with what parsers stumble over: NUL, quotes, line ends, combining marks, all lengths of UTF-8. Without U+FEFF,
    /// which Foundation drops from the start of a string wherever it decodes one.
    package mutating func text(maxScalars: Int = 12) -> String {
        let odd: [Unicode.Scalar] = [
            "\u{0}", "\u{1}", "\t", "\n", "\r", "\"", "\\", "/", "%", ",", ";", "=", "+", " ", "\u{7F}", "é", "\u{301}",
            "\u{85}", "\u{2028}", "\u{FFFD}", "\u{FFFF}", "李", "🚧", "\u{10FFFF}", "\u{D7FF}", "\u{E000}",
        ]
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...maxScalars, using: &self) {
            text.append(oneIn(3) ? pick(odd) : Unicode.Scalar(UInt8.random(in: 0x20...0x7E, using: &self)))
        }
        return String(text)
    }

    /// Bytes without any order.
    package mutating func bytes(maxCount: Int) -> [UInt8] {
        (0..<Int.random(in: 0...maxCount, using: &self)).map { _ in UInt8.random(in: 0...255, using: &self) }
    }

    /// The bytes after one to four small damages: bits, bytes, runs that go missing, come twice or change places, cuts, and
    /// tokens put in.
    ///
    /// - Parameter tokens: what means something in the format.
    package mutating func damaged(_ original: [UInt8], tokens: [String] = []) -> [UInt8] {
        var bytes = original
        for _ in 0..<Int.random(in: 1...4, using: &self) {
            let index = Int.random(in: 0...bytes.count, using: &self)
            let end = min(bytes.count, index + Int.random(in: 1...(oneIn(4) ? 64 : 4), using: &self))
            switch Int.random(in: 0..<8, using: &self) {
            case 0 where index < bytes.count: bytes[index] ^= 1 << UInt8.random(in: 0...7, using: &self)
            case 1 where index < bytes.count: bytes[index] = UInt8.random(in: 0...255, using: &self)
            case 2: bytes.removeSubrange(index..<end)
            case 3: bytes.insert(contentsOf: bytes[index..<end], at: Int.random(in: 0...bytes.count, using: &self))
            case 4 where oneIn(4): bytes.removeSubrange(index...)
            case 5 where oneIn(4): bytes.removeSubrange(..<index)
            case _ where !tokens.isEmpty:
                let token = Array(pick(tokens).utf8)
                if oneIn(2) { bytes.removeSubrange(index..<end) }
                bytes.insert(contentsOf: token, at: index)
            default: bytes.insert(UInt8.random(in: 0...255, using: &self), at: index)
            }
        }
        return bytes
    }

    /// A JSON text: any value, or an object, with space and escapes where they are allowed.
    package mutating func json(depth: Int = 4, isObject: Bool = false) -> String {
        switch isObject ? 8 : Int.random(in: 0..<(depth > 0 ? 10 : 6), using: &self) {
        case 0: return pick(["true", "false", "null"])
        case 1, 2: return jsonNumber()
        case 3, 4, 5: return jsonString(text())
        case 6, 7:
            return "[" + space()
                + (0..<Int.random(in: 0...3, using: &self)).map { _ in json(depth: depth - 1) + space() }
                .joined(separator: "," + space()) + "]"
        default:
            // Numbered, because readers differ about names that occur twice.
            return "{" + space()
                + (0..<Int.random(in: 0...3, using: &self)).map { number in
                    jsonString(text(maxScalars: 4) + "\(number)") + space() + ":" + space() + json(depth: depth - 1)
                        + space()
                }.joined(separator: "," + space()) + "}"
        }
    }

    /// A JSON string that spells a text, each scalar escaped or not as the standard allows.
    package mutating func jsonString(_ text: String) -> String {
        var spelled = "\""
        for scalar in text.unicodeScalars {
            let mustEscape = scalar.value < 0x20 || scalar == "\"" || scalar == "\\"
            if mustEscape || oneIn(8) {
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16, uppercase: oneIn(2))
                    spelled += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            } else {
                spelled.unicodeScalars.append(scalar)
            }
        }
        return spelled + "\""
    }

    private mutating func jsonNumber() -> String {
        var number = oneIn(2) ? "\(integer())" : "\(Double(integer()) / 1024)"
        if oneIn(4), !number.contains("e") { number += pick(["e5", "E-3", "e+0", "e00", "E12"]) }
        return number
    }

    private mutating func space() -> String {
        oneIn(3) ? pick([" ", "\n", "\t", "\r\n  "]) : ""
    }
}

extension SeededGenerator {
    /// A value of a field table, nested at most so deep.
    package mutating func field(depth: Int = 3) -> FieldValue {
        switch Int.random(in: 0..<(depth > 0 ? 19 : 15), using: &self) {
        case 0: .bool(oneIn(2))
        case 1: .int8(Int8(truncatingIfNeeded: integer()))
        case 2: .int16(Int16(truncatingIfNeeded: integer()))
        case 3: .int32(Int32(truncatingIfNeeded: integer()))
        case 4: .int64(integer())
        case 5: .uint8(UInt8(truncatingIfNeeded: integer()))
        case 6: .uint16(UInt16(truncatingIfNeeded: integer()))
        case 7: .uint32(UInt32(truncatingIfNeeded: integer()))
        case 8: .float(Float(integer()) / 16)
        case 9: .double(pick([Double(integer()) / 16, .infinity, -0.0, .leastNonzeroMagnitude]))
        case 10: .decimal(scale: UInt8(truncatingIfNeeded: integer()), value: UInt32(truncatingIfNeeded: integer()))
        case 11, 12: .string(text())
        case 13: .timestamp(UInt64(bitPattern: integer()))
        case 14: .void
        case 15, 16: .array((0..<Int.random(in: 0...4, using: &self)).map { _ in field(depth: depth - 1) })
        default: .table(fields(depth: depth - 1))
        }
    }

    /// A field table, as one that may be sent.
    package mutating func fields(depth: Int = 3) -> FieldTable {
        var table: FieldTable = [:]
        for _ in 0..<Int.random(in: 0...5, using: &self) { table["n" + text(maxScalars: 8)] = field(depth: depth) }
        return table
    }
}
