/// Walks over JSON text (RFC 8259) and keeps only what it is asked for.
///
/// The ingress has to know of every webhook that it is JSON, and three short strings in it. A full decoder would build the
/// rest too, only to throw it away. Input is untrusted: nesting is limited, and nothing recurses without that limit.
struct JSONScanner {
    /// Deeper text is refused. Calendly's goes about six levels deep.
    static let maxDepth = 64

    struct SyntaxError: Error, Equatable {
        /// Where the text stops being JSON, in bytes.
        var offset: Int
    }

    private let bytes: [UInt8]
    private var position = 0
    private var depth = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var failure: SyntaxError { SyntaxError(offset: position) }

    /// The first byte of the next value; nil at the end of the text.
    mutating func peek() -> UInt8? {
        skipSpace()
        return position < bytes.count ? bytes[position] : nil
    }

    /// Fails unless nothing but space is left.
    mutating func finish() throws(SyntaxError) {
        guard peek() == nil else { throw failure }
    }

    /// Reads an object, and hands every key to `member`, which has to read or skip the value.
    mutating func readObject(
        _ member: (_ key: String, _ scanner: inout JSONScanner) throws(SyntaxError) -> Void
    ) throws(SyntaxError) {
        try open(UInt8(ascii: "{"))
        if try !closes(UInt8(ascii: "}")) {
            repeat {
                guard peek() == UInt8(ascii: "\"") else { throw failure }
                let key = try readString()
                try expect(UInt8(ascii: ":"))
                try member(key, &self)
            } while try continues(until: UInt8(ascii: "}"))
        }
        depth -= 1
    }

    /// Reads a string; any other value is skipped and gives nil.
    mutating func readStringOrSkip() throws(SyntaxError) -> String? {
        guard peek() == UInt8(ascii: "\"") else {
            try skipValue()
            return nil
        }
        return try readString()
    }

    /// Checks one value of any kind and passes over it.
    mutating func skipValue() throws(SyntaxError) {
        switch peek() {
        case UInt8(ascii: "{"):
            try open(UInt8(ascii: "{"))
            if try !closes(UInt8(ascii: "}")) {
                repeat {
                    guard peek() == UInt8(ascii: "\"") else { throw failure }
                    _ = try skipString()
                    try expect(UInt8(ascii: ":"))
                    try skipValue()
                } while try continues(until: UInt8(ascii: "}"))
            }
            depth -= 1
        case UInt8(ascii: "["):
            try open(UInt8(ascii: "["))
            if try !closes(UInt8(ascii: "]")) {
                repeat { try skipValue() } while try continues(until: UInt8(ascii: "]"))
            }
            depth -= 1
        case UInt8(ascii: "\""): _ = try skipString()
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: try skipNumber()
        }
    }

    // MARK: - Structure

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private mutating func expect(_ byte: UInt8) throws(SyntaxError) {
        guard peek() == byte else { throw failure }
        position += 1
    }

    private mutating func open(_ bracket: UInt8) throws(SyntaxError) {
        guard depth < Self.maxDepth else { throw failure }
        try expect(bracket)
        depth += 1
    }

    private mutating func closes(_ bracket: UInt8) throws(SyntaxError) -> Bool {
        guard peek() == bracket else { return false }
        position += 1
        return true
    }

    /// After an element: true for a comma, false for the closing bracket.
    private mutating func continues(until bracket: UInt8) throws(SyntaxError) -> Bool {
        switch peek() {
        case UInt8(ascii: ","):
            position += 1
            return true
        case bracket:
            position += 1
            return false
        default: throw failure
        }
    }

    // MARK: - Scalars

    private mutating func literal(_ word: StaticString) throws(SyntaxError) {
        for expected in word.description.utf8 {
            guard position < bytes.count, bytes[position] == expected else { throw failure }
            position += 1
        }
    }

    private mutating func digits() -> Int {
        let start = position
        while position < bytes.count, (48...57).contains(bytes[position]) { position += 1 }
        return position - start
    }

    private mutating func take(_ choices: UInt8...) -> Bool {
        guard position < bytes.count, choices.contains(bytes[position]) else { return false }
        position += 1
        return true
    }

    private mutating func skipNumber() throws(SyntaxError) {
        _ = take(UInt8(ascii: "-"))
        // A leading zero stands alone.
        if !take(UInt8(ascii: "0")) {
            guard digits() > 0 else { throw failure }
        }
        if take(UInt8(ascii: ".")) {
            guard digits() > 0 else { throw failure }
        }
        if take(UInt8(ascii: "e"), UInt8(ascii: "E")) {
            _ = take(UInt8(ascii: "+"), UInt8(ascii: "-"))
            guard digits() > 0 else { throw failure }
        }
    }

    /// Passes over a string and tells whether it has escapes.
    private mutating func skipString() throws(SyntaxError) -> Bool {
        position += 1
        var hasEscapes = false
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                position += 1
                return hasEscapes
            case UInt8(ascii: "\\"):
                hasEscapes = true
                position += 1
                guard position < bytes.count else { throw failure }
                if bytes[position] == UInt8(ascii: "u") {
                    position += 1
                    for _ in 0..<4 {
                        guard position < bytes.count, Self.hexDigit(bytes[position]) != nil else { throw failure }
                        position += 1
                    }
                } else {
                    guard Self.simpleEscape(bytes[position]) != nil else { throw failure }
                    position += 1
                }
            case 0..<0x20: throw failure
            default: position += 1
            }
        }
        throw failure
    }

    private mutating func readString() throws(SyntaxError) -> String {
        let start = position + 1
        let hasEscapes = try skipString()
        let raw = bytes[start..<position - 1]
        guard hasEscapes else { return String(decoding: raw, as: UTF8.self) }
        return Self.unescaped(raw)
    }

    /// - Parameter raw: the inside of a string that `skipString` has passed over.
    private static func unescaped(_ raw: ArraySlice<UInt8>) -> String {
        // UTF-16, because that is what `\u` escapes spell; a lone surrogate becomes U+FFFD.
        var units: [UInt16] = []
        var plain: [UInt8] = []
        func flush() {
            units.append(contentsOf: String(decoding: plain, as: UTF8.self).utf16)
            plain.removeAll()
        }
        var index = raw.startIndex
        while index < raw.endIndex {
            guard raw[index] == UInt8(ascii: "\\") else {
                plain.append(raw[index])
                index += 1
                continue
            }
            flush()
            if raw[index + 1] == UInt8(ascii: "u") {
                let unit = raw[index + 2..<index + 6].reduce(UInt16(0)) { $0 << 4 | UInt16(hexDigit($1) ?? 0) }
                units.append(unit)
                index += 6
            } else {
                units.append(UInt16(simpleEscape(raw[index + 1]) ?? 0))
                index += 2
            }
        }
        flush()
        return String(decoding: units, as: UTF16.self)
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 97...102: byte - 87
        case 65...70: byte - 55
        default: nil
        }
    }

    private static func simpleEscape(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): byte
        case UInt8(ascii: "b"): 8
        case UInt8(ascii: "f"): 12
        case UInt8(ascii: "n"): 10
        case UInt8(ascii: "r"): 13
        case UInt8(ascii: "t"): 9
        default: nil
        }
    }
}
