/// An enhanced status code, `class.subject.detail` (RFC 3463).
package struct EnhancedStatusCode: Sendable, Hashable, CustomStringConvertible {
    /// 2, 4 or 5: success, try later, for good.
    package let `class`: Int
    /// What it is about: 1 address, 2 mailbox, 3 mail system, 4 network, 5 protocol, 6 content, 7 security or policy.
    package let subject: Int
    /// The detail within the subject.
    package let detail: Int

    /// Makes a code.
    package init(_ class: Int, _ subject: Int, _ detail: Int) {
        self.class = `class`
        self.subject = subject
        self.detail = detail
    }

    package var description: String { "\(`class`).\(subject).\(detail)" }
}

/// One reply of a server, possibly of several lines (RFC 5321 section 4.2).
struct SMTPReply: Sendable, Equatable {
    /// Three digits.
    let code: Int
    /// The text of all lines, joined by spaces, without the codes.
    let text: String

    /// Reads one line; nil if it is not a reply line. What could steer a terminal or break a stored text is taken out.
    static func line(_ line: String) -> (code: Int, text: String, isLast: Bool)? {
        let bytes = Array(line.utf8)
        guard bytes.count >= 3, bytes[..<3].allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        let code = bytes[..<3].reduce(0) { $0 * 10 + Int($1 - 0x30) }
        guard bytes.count > 3 else { return (code, "", true) }
        guard bytes[3] == UInt8(ascii: " ") || bytes[3] == UInt8(ascii: "-") else { return nil }
        let text = HeaderText.clean(String(decoding: bytes[4...], as: UTF8.self), maxCharacters: bytes.count)
        return (code, text, bytes[3] == UInt8(ascii: " "))
    }

    /// The enhanced status code that opens the text, if its class fits the reply code.
    var enhancedCode: EnhancedStatusCode? {
        guard let word = text.split(separator: " ", maxSplits: 1).first else { return nil }
        let numbers = word.split(separator: ".", omittingEmptySubsequences: false)
        guard numbers.count == 3, numbers.allSatisfy({ (1...3).contains($0.utf8.count) }) else { return nil }
        let values = numbers.compactMap { $0.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int($0) : nil }
        guard values.count == 3, values[0] == code / 100 else { return nil }
        return EnhancedStatusCode(values[0], values[1], values[2])
    }

    /// The text with every word that holds an at sign masked, for logs.
    static func masked(_ text: String) -> String {
        text.split(separator: " ").map { $0.contains("@") ? "<address>" : String($0) }.joined(separator: " ")
    }
}
