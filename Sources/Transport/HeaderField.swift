/// Writes header fields: encoded words (RFC 2047), phrases, folding (RFC 5322 section 2.2.3).
enum HeaderField {
    /// The preferred line length of RFC 5322 section 2.1.1.
    private static let maxColumns = 78

    /// A field with free text, such as a subject.
    static func unstructured(_ name: String, _ text: String) -> String {
        fold(name, words(of: text))
    }

    /// A field with one mailbox.
    static func mailbox(_ name: String, _ mailbox: Mailbox) -> String {
        guard let display = mailbox.name else { return fold(name, [mailbox.address]) }
        return fold(name, phrase(display) + ["<\(mailbox.address)>"])
    }

    /// A field whose words are known to be ASCII tokens.
    static func fold(_ name: String, _ words: [String]) -> String {
        var field = "\(name):"
        var column = field.utf8.count
        for word in words {
            if column + 1 + word.utf8.count > maxColumns, column > name.utf8.count + 1 {
                field += "\r\n"
                column = 0
            }
            field += " " + word
            column += 1 + word.utf8.count
        }
        return field + "\r\n"
    }

    private static func words(of text: String) -> [String] {
        isPlain(text) ? text.split(separator: " ").map(String.init) : encodedWords(text)
    }

    /// ASCII without anything that reads as an encoded word, and no word too long to fold.
    private static func isPlain(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f } && !text.contains("=?")
            && text.split(separator: " ").allSatisfy { $0.utf8.count <= 70 }
    }

    private static func phrase(_ name: String) -> [String] {
        guard isPlain(name) else { return encodedWords(name) }
        let words = name.split(separator: " ")
        if words.allSatisfy({ $0.utf8.allSatisfy(Mailbox.isAtomText) }) { return words.map(String.init) }
        var quoted = "\""
        for character in name {
            if character == "\"" || character == "\\" { quoted += "\\" }
            quoted.append(character)
        }
        // Folding inside a quoted string happens at its spaces and is undone by the reader.
        return (quoted + "\"").split(separator: " ").map(String.init)
    }

    /// Splits between characters, so that every word decodes by itself, in at most 75 columns (RFC 2047 section 2).
    private static func encodedWords(_ text: String) -> [String] {
        // 52 columns of base64 and 12 of marks: with a short field name before it, a line stays within 76.
        let maxBytes = 39
        var words: [String] = []
        var chunk: [UInt8] = []
        func flush() {
            guard !chunk.isEmpty else { return }
            words.append("=?UTF-8?B?" + String(decoding: Base64.encode(chunk), as: UTF8.self) + "?=")
            chunk.removeAll()
        }
        for character in text {
            // A character may be longer than a word (joined emoji): then it is split between its scalars.
            let units: [[UInt8]] =
                character.utf8.count <= maxBytes
                ? [Array(character.utf8)] : character.unicodeScalars.map { Array(String($0).utf8) }
            for unit in units {
                if chunk.count + unit.count > maxBytes { flush() }
                chunk += unit
            }
        }
        flush()
        return words
    }
}
