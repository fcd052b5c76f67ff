/// A place in a JSON document (RFC 6901), such as `/invitee/email`; the empty text is the whole document.
package struct JSONPointer: Hashable, Sendable, CustomStringConvertible {
    /// Names of members or positions in arrays, unescaped.
    package var tokens: [String]

    package init(tokens: [String] = []) {
        self.tokens = tokens
    }

    /// - Returns: nil if the text is not empty and does not begin with a slash, or holds a tilde that escapes nothing.
    package init?(_ text: String) {
        guard !text.isEmpty else {
            self.init()
            return
        }
        guard text.hasPrefix("/") else { return nil }
        var tokens: [String] = []
        for part in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            var token = ""
            var isEscape = false
            for character in part {
                switch (isEscape, character) {
                case (true, "0"): token.append("~")
                case (true, "1"): token.append("/")
                case (true, _): return nil
                case (false, "~"): break
                case (false, _): token.append(character)
                }
                isEscape = !isEscape && character == "~"
            }
            if isEscape { return nil }
            tokens.append(token)
        }
        self.init(tokens: tokens)
    }

    package var description: String {
        tokens.map { token in
            "/" + token.map { $0 == "~" ? "~0" : $0 == "/" ? "~1" : String($0) }.joined()
        }.joined()
    }

    /// The place one step below this one.
    package func appending(_ token: String) -> JSONPointer {
        JSONPointer(tokens: tokens + [token])
    }

    /// A position in an array as RFC 6901 section 4 writes it: digits, without leading zeros.
    static func index(_ token: String) -> Int? {
        guard !token.isEmpty, token.utf8.allSatisfy({ (48...57).contains($0) }), token == "0" || token.first != "0"
        else { return nil }
        return Int(token)
    }
}

extension JSONValue {
    /// What is at a place; nil if nothing is.
    package func value(at pointer: JSONPointer) -> JSONValue? {
        var value = self
        for token in pointer.tokens {
            switch value {
            case .object(let members):
                guard let member = members[token] else { return nil }
                value = member
            case .array(let elements):
                guard let index = JSONPointer.index(token), elements.indices.contains(index) else { return nil }
                value = elements[index]
            default: return nil
            }
        }
        return value
    }
}
