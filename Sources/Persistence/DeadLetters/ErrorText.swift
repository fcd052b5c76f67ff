import Messaging

/// Error texts without what differs from one message to the next, so that alike failures look alike.
package enum ErrorText {
    /// Longer texts are cut, in bytes of UTF-8.
    package static let maxBytes = 500

    /// The text with quoted parts, e-mail addresses, UUIDs, identifiers, times and numbers replaced by their kinds.
    ///
    /// `row 17 of job_01HX5 at 2027-03-16T13:00:00Z` becomes `row <n> of <id> at <time>`.
    package static func normalised(_ text: String) -> String {
        var result = ""
        var word = ""
        var previous: Character = " "
        var rest = Substring(text)
        func flush() {
            result += normalised(word: Substring(word))
            word = ""
        }
        while let character = rest.first {
            if let end = quoteEnd(of: rest, after: previous) {
                flush()
                result += "<text>"
                previous = rest[end]
                rest = rest[rest.index(after: end)...]
                continue
            }
            if character.isLetter || character.isNumber || "_-.:@+%".contains(character) {
                word.append(character)
            } else {
                flush()
                if !character.isWhitespace {
                    result.append(character)
                } else if result.last != " " {
                    result.append(" ")
                }
            }
            previous = character
            rest = rest.dropFirst()
        }
        flush()
        while result.last == " " { result.removeLast() }
        return String(result.drop { $0 == " " }).cappedUTF8(to: maxBytes)
    }

    /// Where the quotation ends that begins here; an apostrophe within a word begins none.
    private static func quoteEnd(of text: Substring, after previous: Character) -> Substring.Index? {
        guard let open = text.first, "\"'`“‘«".contains(open), !previous.isLetter, !previous.isNumber else {
            return nil
        }
        let close: Character =
            switch open {
            case "“": "”"
            case "‘": "’"
            case "«": "»"
            default: open
            }
        var index = text.index(after: text.startIndex)
        while index < text.endIndex {
            if text[index] == close {
                let after = text.index(after: index)
                let isApostrophe =
                    open == "'" && after < text.endIndex && (text[after].isLetter || text[after].isNumber)
                if !isApostrophe { return index }
            }
            index = text.index(after: index)
        }
        return nil
    }

    private static func normalised(word: Substring) -> String {
        // What ends a sentence does not belong to the word.
        if let last = word.last, ".:-".contains(last) { return normalised(word: word.dropLast()) + String(last) }
        guard word.contains(where: \.isNumber) || word.contains("@") else { return String(word) }
        if isAddress(word) { return "<email>" }
        if isTime(word) { return "<time>" }
        if isIdentifier(word) { return "<id>" }
        var result = ""
        var isInNumber = false
        for character in word {
            if character.isNumber {
                if !isInNumber { result += "<n>" }
                isInNumber = true
            } else if isInNumber, character == ".", !result.hasSuffix(".") {
                // 1.25 is one number, and so is 5.1.1.
                continue
            } else {
                isInNumber = false
                result.append(character)
            }
        }
        return result
    }

    private static func isAddress(_ word: Substring) -> Bool {
        let parts = word.split(separator: "@", omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy { !$0.isEmpty }
    }

    /// A date, a time of day, or both, whatever follows.
    private static func isTime(_ word: Substring) -> Bool {
        let shape = word.prefix(10).map { $0.isNumber ? "9" : $0 }
        let text = String(shape)
        return text.hasPrefix("9999-99-99") || text.hasPrefix("99:99") || text.hasPrefix("9:99")
    }

    /// A UUID, a long hexadecimal number, or a prefix and a part that mixes letters and digits, such as `job_01HX5`.
    private static func isIdentifier(_ word: Substring) -> Bool {
        let plain = word.filter { $0 != "-" }
        if plain.count >= 16, plain.allSatisfy(\.isHexDigit) { return true }
        guard let part = word.split(separator: "_").last, part.count >= 5 else { return false }
        let isMixed = part.contains(where: \.isNumber) && part.contains(where: \.isLetter)
        return (word.contains("_") || part.count >= 20) && isMixed
            && part.allSatisfy { $0.isNumber || $0.isLetter }
    }
}
