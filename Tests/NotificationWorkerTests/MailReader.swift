import Foundation

/// A message as a mail program reads it; shares no code with what writes them.
struct MailReader {
    struct Malformed: Error, CustomStringConvertible {
        let description: String
    }

    struct Part {
        var headers: [(name: String, value: String)] = []
        /// Decoded; of a multipart what stands around the parts.
        var content: [UInt8] = []
        var parts: [Part] = []

        func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

        var type: String { String((header("Content-Type") ?? "").prefix { $0 != ";" }) }

        func parameter(_ name: String) -> String? {
            for word in (header("Content-Type") ?? "").split(separator: ";").dropFirst() {
                let sides = word.trimmingCharacters(in: .whitespaces).split(separator: "=", maxSplits: 1)
                if sides.count == 2, sides[0] == name { return sides[1].trimmingCharacters(in: ["\""]) }
            }
            return nil
        }

        var text: String { String(decoding: content, as: UTF8.self).replacing("\r\n", with: "\n") }

        /// This part and all within, in order.
        var all: [Part] { [self] + parts.flatMap(\.all) }
    }

    let root: Part

    /// - Parameter lines: as they came over SMTP, dots still stuffed.
    init(smtp lines: [String]) throws {
        try self.init(lines.map { $0.hasPrefix(".") ? String($0.dropFirst()) : $0 })
    }

    init(_ bytes: [UInt8]) throws {
        var lines = String(decoding: bytes, as: UTF8.self).components(separatedBy: "\r\n")
        guard lines.popLast() == "" else { throw Malformed(description: "no CRLF at the end") }
        try self.init(lines)
    }

    private init(_ lines: [String]) throws {
        for line in lines {
            guard line.utf8.count <= 998, line.utf8.allSatisfy({ $0 >= 32 && $0 < 127 || $0 == 9 }) else {
                throw Malformed(description: "a line that is too long or holds other than printable ASCII")
            }
        }
        root = try Self.part(lines[...])
    }

    /// The decoded value of a header that must occur once.
    func header(_ name: String) throws -> String {
        let found = root.headers.filter { $0.name.lowercased() == name.lowercased() }
        guard found.count == 1, let value = found.first?.value else {
            throw Malformed(description: "\(name) occurs \(found.count) times")
        }
        return try Self.decodedWords(value)
    }

    /// The only part of a type.
    func part(_ type: String) throws -> Part {
        let found = root.all.filter { $0.type == type }
        guard found.count == 1, let part = found.first else {
            throw Malformed(description: "\(found.count) parts of type \(type)")
        }
        return part
    }

    // MARK: Parsing

    private static func part(_ lines: ArraySlice<String>) throws -> Part {
        guard let blank = lines.firstIndex(of: "") else {
            throw Malformed(description: "no blank line after the header")
        }
        var part = Part()
        for line in lines[..<blank] {
            if line.hasPrefix(" ") || line.hasPrefix("\t") {
                guard !part.headers.isEmpty else { throw Malformed(description: "begins folded") }
                part.headers[part.headers.count - 1].value += line
            } else {
                guard let colon = line.firstIndex(of: ":") else { throw Malformed(description: "no header: \(line)") }
                let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
                part.headers.append((String(line[..<colon]), value))
            }
        }
        let body = lines[(blank + 1)...]
        if let boundary = part.parameter("boundary") {
            let pieces = body.split(omittingEmptySubsequences: false) {
                $0 == "--\(boundary)" || $0 == "--\(boundary)--"
            }
            guard pieces.count >= 3, body.contains("--\(boundary)--") else {
                throw Malformed(description: "a multipart that does not end")
            }
            part.parts = try pieces.dropFirst().dropLast().map(self.part)
        } else {
            part.content = try decoded(body, part.header("Content-Transfer-Encoding") ?? "7bit")
        }
        return part
    }

    private static func decoded(_ lines: ArraySlice<String>, _ encoding: String) throws -> [UInt8] {
        switch encoding {
        case "base64":
            guard let data = Data(base64Encoded: lines.joined()) else { throw Malformed(description: "no base64") }
            return Array(data)
        case "quoted-printable":
            var bytes: [UInt8] = []
            for line in lines {
                guard line.utf8.count <= 76 else { throw Malformed(description: "a line of \(line.utf8.count) octets") }
                var rest = Array(line.utf8)[...]
                var isSoft = false
                while let byte = rest.popFirst() {
                    if byte != UInt8(ascii: "=") {
                        bytes.append(byte)
                    } else if rest.isEmpty {
                        isSoft = true
                    } else {
                        guard let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
                            throw Malformed(description: "no quoted-printable: \(line)")
                        }
                        bytes.append(value)
                        rest = rest.dropFirst(2)
                    }
                }
                if !isSoft { bytes += [13, 10] }
            }
            return bytes
        default: return Array(lines.map { $0 + "\r\n" }.joined().utf8)
        }
    }

    /// Encoded words (RFC 2047); the space between two of them is none.
    private static func decodedWords(_ value: String) throws -> String {
        var bytes: [UInt8] = []
        var isAfterEncoded = true
        for word in value.split(separator: " ") {
            let isEncoded = word.hasPrefix("=?UTF-8?B?") && word.hasSuffix("?=")
            if !(isEncoded && isAfterEncoded) && !bytes.isEmpty { bytes.append(32) }
            if isEncoded {
                guard let data = Data(base64Encoded: String(word.dropFirst(10).dropLast(2))) else {
                    throw Malformed(description: "no encoded word: \(word)")
                }
                bytes += data
            } else {
                bytes += word.utf8
            }
            isAfterEncoded = isEncoded
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
