/// A regular expression of a policy or a permission, matched anywhere in the name.
enum Pattern {
    /// Our own policies name one queue each. Compiling sixty expressions to compare each with sixty names takes seconds,
    /// comparing the names does not.
    case exactly(String)
    case expression(Regex<AnyRegexOutput>)

    /// Nil when the expression does not compile.
    init?(_ text: String) {
        if let name = Self.literal(text) {
            self = .exactly(name)
        } else if let regex = try? Regex(text) {
            self = .expression(regex)
        } else {
            return nil
        }
    }

    func matches(_ name: String) -> Bool {
        switch self {
        case .exactly(let other): name == other
        case .expression(let regex): name.contains(regex)
        }
    }

    /// The one name that `^...$` matches, if the text between is nothing but letters, digits, `-`, `_` and `\.`.
    private static func literal(_ text: String) -> String? {
        guard text.count > 2, text.hasPrefix("^"), text.hasSuffix("$") else { return nil }
        let name = text.dropFirst().dropLast().replacing("\\.", with: ".")
        guard Policy.pattern(exactly: String(name)) == text else { return nil }
        let isPlain = name.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || [UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_")].contains(byte)
        }
        return isPlain ? String(name) : nil
    }
}
