/// Text that stands in one line: in a message header, or from a server whose word goes to logs and terminals.
enum HeaderText {
    /// Replaces what could end a header line or hide in one, and caps the length.
    ///
    /// Control characters (CR, LF and NUL among them), line and paragraph separators and bidirectional overrides become
    /// a space; runs of space collapse; both ends are trimmed.
    static func clean(_ text: String, maxCharacters: Int) -> String {
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let isUnwanted =
                scalar.properties.generalCategory == .control || scalar.value == 0x2028 || scalar.value == 0x2029
                || (0x202a...0x202e).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
            if isUnwanted || scalar == " " {
                if let last = scalars.last, last != " " { scalars.append(" ") }
            } else {
                scalars.append(scalar)
            }
        }
        var cleaned = String(scalars)
        if cleaned.count > maxCharacters { cleaned = String(cleaned.prefix(maxCharacters)) }
        while cleaned.hasSuffix(" ") { cleaned.removeLast() }
        return cleaned
    }
}
