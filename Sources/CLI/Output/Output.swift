import Foundation
import Messaging

/// The few ways in which commands print.
enum Output {
    /// One JSON document on standard output, with the keys and instants of the API.
    static func json(_ value: some Encodable) throws {
        let bytes = try WireJSON.encode(value)
        FileHandle.standardOutput.write(Data(bytes + [UInt8(ascii: "\n")]))
    }

    /// A text of others, such as a mail server's words, as a terminal may be given it: what could steer the terminal or
    /// turn the order of what is read around is written as `\u{1B}`.
    ///
    /// - Parameter keepsLines: whether line feeds and tabs stay as they are.
    static func plain(_ text: String, keepsLines: Bool = false) -> String {
        func isUnwanted(_ scalar: Unicode.Scalar) -> Bool {
            if keepsLines, scalar == "\n" || scalar == "\t" { return false }
            return scalar.properties.generalCategory == .control || (0x2028...0x202e).contains(scalar.value)
                || (0x2066...0x2069).contains(scalar.value)
        }
        guard text.unicodeScalars.contains(where: isUnwanted) else { return text }
        var plain = ""
        for scalar in text.unicodeScalars {
            if isUnwanted(scalar) {
                plain += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
            } else {
                plain.unicodeScalars.append(scalar)
            }
        }
        return plain
    }

    /// An instant for operators: UTC, to the second, with its zone.
    static func time(_ date: Date) -> String {
        date.formatted(Date.ISO8601FormatStyle())
    }

    /// A span for people, such as `3 min` or `2 h`.
    static func age(since date: Date, now: Date = Date()) -> String {
        let seconds = Int(max(0, now.timeIntervalSince(date)))
        return switch seconds {
        case ..<120: "\(seconds) s"
        case ..<7_200: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3_600) h"
        default: "\(seconds / 86_400) d"
        }
    }
}
