import Foundation
import Transport

/// An instant as the API takes it.
enum InstantText {
    /// RFC 3339 section 5.6, years 2000 to 2199; nil for anything else, a date without a zone above all.
    static func parse(_ text: String) -> Date? {
        let bytes = Array(text.utf8)
        func areDigits(_ range: Range<Int>) -> Bool {
            range.upperBound <= bytes.count && bytes[range].allSatisfy { (48...57).contains($0) }
        }
        guard bytes.count >= 20, areDigits(0..<4), bytes[4] == UInt8(ascii: "-"), areDigits(5..<7),
            bytes[7] == UInt8(ascii: "-"), areDigits(8..<10), bytes[10] == UInt8(ascii: "T"), areDigits(11..<13),
            bytes[13] == UInt8(ascii: ":"), areDigits(14..<16), bytes[16] == UInt8(ascii: ":"), areDigits(17..<19)
        else { return nil }
        var index = 19
        var fraction = 0.0
        if bytes[index] == UInt8(ascii: ".") {
            let start = index + 1
            index = start
            while index < bytes.count, (48...57).contains(bytes[index]) { index += 1 }
            guard (1...9).contains(index - start) else { return nil }
            fraction = Double("0." + String(decoding: bytes[start..<index], as: UTF8.self)) ?? 0
        }
        func number(_ range: Range<Int>) -> Int { bytes[range].reduce(0) { $0 * 10 + Int($1 - 48) } }
        guard index < bytes.count else { return nil }
        var offset = 0
        if bytes[index] == UInt8(ascii: "Z") {
            guard index + 1 == bytes.count else { return nil }
        } else {
            guard bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-"), bytes.count == index + 6,
                areDigits(index + 1..<index + 3), bytes[index + 3] == UInt8(ascii: ":"),
                areDigits(index + 4..<index + 6)
            else { return nil }
            let (hours, minutes) = (number(index + 1..<index + 3), number(index + 4..<index + 6))
            guard hours < 24, minutes < 60 else { return nil }
            offset = (hours * 60 + minutes) * (bytes[index] == UInt8(ascii: "-") ? -60 : 60)
        }
        let (year, month, day) = (number(0..<4), number(5..<7), number(8..<10))
        let (hour, minute, second) = (number(11..<13), number(14..<16), number(17..<19))
        // A day that does not exist must not become the next month's.
        guard (2000..<2200).contains(year), (1...12).contains(month), (1...length(of: month, in: year)).contains(day),
            hour < 24, minute < 60, second < 60
        else { return nil }
        let seconds = days(until: year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset
        return Date(timeIntervalSince1970: Double(seconds) + fraction)
    }

    private static func isLeap(_ year: Int) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    private static func length(of month: Int, in year: Int) -> Int {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days from 1970-01-01 to a day of the Gregorian calendar.
    private static func days(until year: Int, _ month: Int, _ day: Int) -> Int {
        let past = year - 1
        let untilYear = past * 365 + past / 4 - past / 100 + past / 400 - 719_162
        return (1..<month).reduce(untilYear) { $0 + length(of: $1, in: year) } + day - 1
    }
}

/// What texts have to look like. Each returns a code and a detail if the text will not do.
package enum TextRules {
    /// What mail can be sent to (`Mailbox`), so that nothing is booked whose mail could never go; and of that only what
    /// people have: no empty atom, and a domain with a dot.
    package static func email(_ text: String) -> (code: String, detail: String)? {
        guard text.utf8.allSatisfy({ $0 < 0x80 }) else {
            return ("format", "must be an e-mail address of ASCII characters, because mail to others does not arrive")
        }
        let fault = (code: "format", detail: "must be an e-mail address, such as name@example.com")
        guard (try? Mailbox(address: text)) != nil, let at = text.lastIndex(of: "@") else { return fault }
        let domain = text[text.index(after: at)...]
        let isPersonal = domain.contains(".") && !domain.hasPrefix("[") && !".@".contains(text[text.index(before: at)])
        return isPersonal && !text.contains("..") ? nil : fault
    }

    /// E.164 with the signs that people put between digits: 7 to 15 digits, a leading plus if any.
    static func phone(_ text: String) -> (code: String, detail: String)? {
        let digits = text.utf8.count { (48...57).contains($0) }
        let rest = text.hasPrefix("+") ? text.dropFirst() : text[...]
        let isPlausible =
            (7...15).contains(digits)
            && rest.utf8.allSatisfy { (48...57).contains($0) || " -().".utf8.contains($0) }
        return isPlausible ? nil : ("format", "must be a phone number with 7 to 15 digits, such as +1 614 555 0142")
    }

    /// The name of a zone in the IANA database, which follows its daylight saving time; an offset will not do.
    static func timeZone(_ text: String) -> (code: String, detail: String)? {
        let isName =
            text == "UTC"
            || text.contains("/")
                && text.utf8.allSatisfy {
                    (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0)
                        || "_+-/".utf8.contains($0)
                }
        let isKnown = isName && TimeZone(identifier: text) != nil
        return isKnown ? nil : ("time_zone", "must be an IANA time zone, such as America/New_York")
    }

    /// A code of ours: lowercase letters, digits and underscores.
    static func code(_ text: String) -> (code: String, detail: String)? {
        let isCode = text.utf8.allSatisfy {
            (97...122).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: "_")
        }
        return isCode ? nil : ("format", "must consist of lowercase letters, digits and underscores")
    }
}
