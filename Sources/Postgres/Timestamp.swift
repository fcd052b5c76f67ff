import FoundationEssentials

/// A `timestamptz` between Swift's dates and the server's text form: `2026-04-01 13:30:00.25+00`, with ` BC` after it
/// for years before 1.
struct Timestamp: Equatable {
    /// Microseconds since 1970-01-01 00:00 UTC.
    let microseconds: Int64

    /// From 1970 to 2001, where Swift's dates count from.
    private static let referenceOffset: Int64 = 978_307_200_000_000
    private static let perDay: Int64 = 86_400_000_000

    /// From 4713 BC, the server's limit ("Date/Time Types"), to about the year 146,000: the server goes further, but
    /// there 64 bits run short.
    private static let range: ClosedRange<Int64> = -210_866_803_200_000_000...4_600_000_000_000_000_000

    init?(_ date: Date) {
        let value = (date.timeIntervalSinceReferenceDate * 1_000_000).rounded()
        // Also false for NaN.
        guard abs(value) < 0x1p62 else { return nil }
        self.init(microseconds: Int64(value) + Self.referenceOffset)
    }

    init?(microseconds: Int64) {
        guard Self.range.contains(microseconds) else { return nil }
        self.microseconds = microseconds
    }

    var date: Date {
        Date(timeIntervalSinceReferenceDate: Double(microseconds - Self.referenceOffset) / 1_000_000)
    }

    var text: String {
        var day = microseconds / Self.perDay
        var rest = microseconds % Self.perDay
        if rest < 0 {
            rest += Self.perDay
            day -= 1
        }
        let (year, month, dayOfMonth) = Self.civil(day: day)
        let seconds = rest / 1_000_000
        var text = Self.padded(year > 0 ? year : 1 - year, 4)
        text += "-\(Self.padded(month, 2))-\(Self.padded(dayOfMonth, 2))"
        text +=
            " \(Self.padded(seconds / 3600, 2)):\(Self.padded(seconds / 60 % 60, 2)):\(Self.padded(seconds % 60, 2))"
        text += ".\(Self.padded(rest % 1_000_000, 6))+00"
        return year > 0 ? text : text + " BC"
    }

    /// Reads the ISO form with any offset; nil for anything else, the infinities included.
    init?(text: some Sequence<UInt8>) {
        var scanner = Scanner(bytes: Array(text))
        guard var year = scanner.number(digits: 4...6), scanner.take("-"),
            let month = scanner.number(digits: 2...2), (1...12).contains(month), scanner.take("-"),
            let day = scanner.number(digits: 2...2), (1...31).contains(day), scanner.take(" "),
            let hour = scanner.number(digits: 2...2), hour < 24, scanner.take(":"),
            let minute = scanner.number(digits: 2...2), minute < 60, scanner.take(":"),
            let second = scanner.number(digits: 2...2), second < 60
        else { return nil }
        var fraction: Int64 = 0
        if scanner.take(".") {
            let start = scanner.position
            guard let digits = scanner.number(digits: 1...6) else { return nil }
            fraction = digits
            for _ in (scanner.position - start)..<6 { fraction *= 10 }
        }
        let sign: Int64
        if scanner.take("+") {
            sign = 1
        } else if scanner.take("-") {
            sign = -1
        } else {
            return nil
        }
        guard var offset = scanner.number(digits: 2...2).map({ $0 * 3600 }) else { return nil }
        if scanner.take(":") {
            guard let minutes = scanner.number(digits: 2...2) else { return nil }
            offset += minutes * 60
            if scanner.take(":") {
                guard let seconds = scanner.number(digits: 2...2) else { return nil }
                offset += seconds
            }
        }
        if scanner.take(" ") {
            guard scanner.take("B"), scanner.take("C") else { return nil }
            year = 1 - year
        }
        guard scanner.isAtEnd else { return nil }
        let seconds = Self.day(year: year, month: month, day: day) * 86_400 + hour * 3600 + minute * 60 + second
        guard abs(seconds) < 4_600_000_000_000 else { return nil }
        self.init(microseconds: (seconds - sign * offset) * 1_000_000 + fraction)
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// Days since 1970-01-01 to the proleptic Gregorian calendar.
    ///
    /// Years are counted from March, so that the leap day is the last one and months follow a linear rule:
    /// the first day of month m (0 for March) is day (153m + 2) / 5 of the year.
    private static func civil(day: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = day + 719_468  // from 0000-03-01
        let cycle = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfCycle = shifted - cycle * 146_097
        let yearOfCycle = (dayOfCycle - dayOfCycle / 1460 + dayOfCycle / 36_524 - dayOfCycle / 146_096) / 365
        let dayOfYear = dayOfCycle - (365 * yearOfCycle + yearOfCycle / 4 - yearOfCycle / 100)
        let month = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * month + 2) / 5 + 1
        let isNextYear = month >= 10
        return (
            yearOfCycle + cycle * 400 + (isNextYear ? 1 : 0), isNextYear ? month - 9 : month + 3, dayOfMonth
        )
    }

    /// The inverse of `civil(day:)`.
    private static func day(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let cycle = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfCycle = shifted - cycle * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfCycle = yearOfCycle * 365 + yearOfCycle / 4 - yearOfCycle / 100 + dayOfYear
        return cycle * 146_097 + dayOfCycle - 719_468
    }

    private struct Scanner {
        let bytes: [UInt8]
        var position = 0

        var isAtEnd: Bool { position == bytes.count }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
            position += 1
            return true
        }

        mutating func number(digits: ClosedRange<Int>) -> Int64? {
            var value: Int64 = 0
            var count = 0
            while position < bytes.count, count < digits.upperBound, (0x30...0x39).contains(bytes[position]) {
                value = value * 10 + Int64(bytes[position] - 0x30)
                position += 1
                count += 1
            }
            return count >= digits.lowerBound ? value : nil
        }
    }
}
