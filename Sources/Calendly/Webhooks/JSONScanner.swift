/// Walks over JSON text (RFC 8259) and keeps only what it is asked for.
///
/// The ingress has to know of every webhook that it is JSON, and three short strings in it. A full decoder would build the
/// rest too, only to throw it away. Input is untrusted: nesting is limited, and nothing recurses without that limit.
///
/// The bytes are an argument of each call and not a member, since a `Span` costs no reference counting but cannot be stored.
struct JSONScanner {
    /// Deeper text is refused. Calendly's goes about six levels deep.
    static let maxDepth = 64

    struct SyntaxError: Error, Equatable {
        /// Where the text stops being JSON, in bytes.
        var offset: Int
    }

    /// A string in the text that has been passed over.
    struct Token {
        /// What lies between the quotes.
        var range: Range<Int>
        var hasEscapes: Bool
    }

    private var position = 0
    private var depth = 0
    /// Whether the last thing read opened the object that `nextKey` reads from.
    private var isAtFirstKey = false

    init() {}

    private var failure: SyntaxError { SyntaxError(offset: position) }

    /// The first byte of the next value; nil at the end of the text.
    mutating func peek(in bytes: Span<UInt8>) -> UInt8? {
        while position < bytes.count {
            let byte = bytes[position]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return byte }
            position += 1
        }
        return nil
    }

    /// Fails unless nothing but space is left.
    mutating func finish(in bytes: Span<UInt8>) throws(SyntaxError) {
        guard peek(in: bytes) == nil else { throw failure }
    }

    // MARK: - Objects

    /// Steps into an object. Call `nextKey` then, and read or skip the value after each key, until it gives nil.
    mutating func enterObject(in bytes: Span<UInt8>) throws(SyntaxError) {
        try open("{", in: bytes)
        isAtFirstKey = true
    }

    /// The next key of the object that was entered; nil once its end has been passed.
    mutating func nextKey(in bytes: Span<UInt8>) throws(SyntaxError) -> Token? {
        if isAtFirstKey {
            isAtFirstKey = false
            if take("}", in: bytes) {
                depth -= 1
                return nil
            }
        } else if try !continues(until: "}", in: bytes) {
            return nil
        }
        return try key(in: bytes)
    }

    /// Whether a key or string spells a text.
    @inline(__always) static func matches(_ token: Token, _ text: String, in bytes: Span<UInt8>) -> Bool {
        if token.hasEscapes { return string(token, in: bytes) == text }
        guard token.range.count == text.utf8.count else { return false }
        var index = token.range.lowerBound
        for byte in text.utf8 {
            guard bytes[index] == byte else { return false }
            index += 1
        }
        return true
    }

    private mutating func key(in bytes: Span<UInt8>) throws(SyntaxError) -> Token {
        guard peek(in: bytes) == UInt8(ascii: "\"") else { throw failure }
        let key = try skipString(in: bytes)
        guard take(":", in: bytes) else { throw failure }
        return key
    }

    // MARK: - Values

    /// Reads a string; any other value is skipped and gives nil.
    mutating func readStringOrSkip(in bytes: Span<UInt8>) throws(SyntaxError) -> String? {
        guard peek(in: bytes) == UInt8(ascii: "\"") else {
            try skipValue(in: bytes)
            return nil
        }
        return Self.string(try skipString(in: bytes), in: bytes)
    }

    /// Checks one value of any kind and passes over it.
    mutating func skipValue(in bytes: Span<UInt8>) throws(SyntaxError) {
        switch peek(in: bytes) {
        case UInt8(ascii: "{"):
            try open("{", in: bytes)
            if take("}", in: bytes) {
                depth -= 1
                return
            }
            repeat {
                _ = try key(in: bytes)
                try skipValue(in: bytes)
            } while try continues(until: "}", in: bytes)
        case UInt8(ascii: "["):
            try open("[", in: bytes)
            if take("]", in: bytes) {
                depth -= 1
                return
            }
            repeat { try skipValue(in: bytes) } while try continues(until: "]", in: bytes)
        case UInt8(ascii: "\""): _ = try skipString(in: bytes)
        case UInt8(ascii: "t"): try literal("rue", in: bytes)
        case UInt8(ascii: "f"): try literal("alse", in: bytes)
        case UInt8(ascii: "n"): try literal("ull", in: bytes)
        default: try skipNumber(in: bytes)
        }
    }

    // MARK: - Structure

    /// Passes over a mark, if it is the next thing.
    private mutating func take(_ mark: Unicode.Scalar, in bytes: Span<UInt8>) -> Bool {
        guard peek(in: bytes) == UInt8(ascii: mark) else { return false }
        position += 1
        return true
    }

    private mutating func open(_ bracket: Unicode.Scalar, in bytes: Span<UInt8>) throws(SyntaxError) {
        guard depth < Self.maxDepth, take(bracket, in: bytes) else { throw failure }
        depth += 1
    }

    /// After an element: true for a comma, false for the closing bracket.
    private mutating func continues(
        until bracket: Unicode.Scalar, in bytes: Span<UInt8>
    ) throws(SyntaxError) -> Bool {
        if take(",", in: bytes) { return true }
        guard take(bracket, in: bytes) else { throw failure }
        depth -= 1
        return false
    }

    // MARK: - Scalars

    /// - Parameter rest: the word without its first letter, which has been seen.
    private mutating func literal(_ rest: String, in bytes: Span<UInt8>) throws(SyntaxError) {
        position += 1
        for expected in rest.utf8 {
            guard position < bytes.count, bytes[position] == expected else { throw failure }
            position += 1
        }
    }

    private mutating func skipNumber(in bytes: Span<UInt8>) throws(SyntaxError) {
        func next() -> UInt8? { position < bytes.count ? bytes[position] : nil }
        func skipDigits() throws(SyntaxError) {
            let start = position
            while let byte = next(), byte >= 48, byte <= 57 { position += 1 }
            guard position > start else { throw failure }
        }
        if next() == UInt8(ascii: "-") { position += 1 }
        // A leading zero stands alone.
        if next() == UInt8(ascii: "0") { position += 1 } else { try skipDigits() }
        if next() == UInt8(ascii: ".") {
            position += 1
            try skipDigits()
        }
        if next() == UInt8(ascii: "e") || next() == UInt8(ascii: "E") {
            position += 1
            if next() == UInt8(ascii: "+") || next() == UInt8(ascii: "-") { position += 1 }
            try skipDigits()
        }
    }

    /// Passes over a string whose opening quote is the next byte.
    private mutating func skipString(in bytes: Span<UInt8>) throws(SyntaxError) -> Token {
        var index = position + 1
        let start = index
        var hasEscapes = false
        // The position is only needed when the string ends or is broken.
        defer { position = index }
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") {
                index += 1
                return Token(range: start..<index - 1, hasEscapes: hasEscapes)
            }
            guard byte >= 0x20 else { throw SyntaxError(offset: index) }
            index += 1
            guard byte == UInt8(ascii: "\\") else { continue }
            hasEscapes = true
            guard index < bytes.count else { break }
            if bytes[index] == UInt8(ascii: "u") {
                for _ in 0..<4 {
                    index += 1
                    guard index < bytes.count, Self.hexDigit(bytes[index]) != nil else {
                        throw SyntaxError(offset: index)
                    }
                }
            } else if Self.simpleEscape(bytes[index]) == nil {
                throw SyntaxError(offset: index)
            }
            index += 1
        }
        throw SyntaxError(offset: bytes.count)
    }

    /// The text that a token spells. A lone surrogate, which `\u` can spell and UTF-8 cannot, becomes U+FFFD.
    static func string(_ token: Token, in bytes: Span<UInt8>) -> String {
        if !token.hasEscapes, let text = try? UTF8Span(validating: bytes.extracting(token.range)) {
            return String(copying: text)
        }
        var text: [UInt8] = []
        text.reserveCapacity(token.range.count)
        var index = token.range.lowerBound
        while index < token.range.upperBound {
            if bytes[index] != UInt8(ascii: "\\") {
                text.append(bytes[index])
                index += 1
            } else if bytes[index + 1] != UInt8(ascii: "u") {
                text.append(simpleEscape(bytes[index + 1]) ?? 0)
                index += 2
            } else {
                var units = [unit(at: index + 2, in: bytes)]
                index += 6
                if UTF16.isLeadSurrogate(units[0]), index + 6 <= token.range.upperBound,
                    bytes[index] == UInt8(ascii: "\\"), bytes[index + 1] == UInt8(ascii: "u")
                {
                    units.append(unit(at: index + 2, in: bytes))
                    index += 6
                }
                text.append(contentsOf: String(decoding: units, as: UTF16.self).utf8)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Four hexadecimal digits.
    private static func unit(at index: Int, in bytes: Span<UInt8>) -> UInt16 {
        var unit: UInt16 = 0
        for digit in index..<index + 4 { unit = unit << 4 | UInt16(hexDigit(bytes[digit]) ?? 0) }
        return unit
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
