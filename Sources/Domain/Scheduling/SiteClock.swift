package import Foundation

/// The wall clock of a site: turns instants into local days and times, and back, over clock changes.
package struct SiteClock: Hashable, Sendable {
    package let timeZone: TimeZone

    package init(timeZone: TimeZone) {
        self.timeZone = timeZone
    }

    /// - Parameter identifier: an IANA name.
    /// - Returns: nil if there is no such zone.
    package init?(identifier: String) {
        guard let zone = TimeZone(identifier: identifier) else { return nil }
        self.init(timeZone: zone)
    }

    /// Which of two instants is meant when the clock shows the same time twice.
    package enum Repeated: Sendable {
        case first, last
    }

    /// The instant at which the clock shows `time` on `day`.
    ///
    /// A time that the clock skips stands for the moment of the skip, so that a rule which opens at 02:30 opens when the
    /// clock goes from 02:00 to 03:00, and not an hour later or the day before.
    package func instant(_ time: LocalTime, on day: LocalDay, whenRepeated repeated: Repeated = .first) -> Date {
        let asUTC = Self.utcMidnight(of: day) + Double(time.minutes) * 60
        // No zone is further than 26 hours from any other, and no zone changes twice within two days.
        let before = offset(at: asUTC - 86400)
        let after = offset(at: asUTC + 86400)
        let fits = [before, after].map { asUTC - $0 }.filter { offset(at: $0) == asUTC.timeIntervalSince($0) }
        if let first = fits.min(), let last = fits.max() {
            return repeated == .first ? first : last
        }
        return skip(between: asUTC - after, and: asUTC - before, from: before)
    }

    /// The day that the clock shows at `instant`.
    package func day(of instant: Date) -> LocalDay {
        Self.day(ofUTC: instant + offset(at: instant))
    }

    /// Monday is 1, as in ISO 8601.
    package static func weekday(of day: LocalDay) -> Int {
        (utcCalendar.component(.weekday, from: utcMidnight(of: day)) + 5) % 7 + 1
    }

    /// The day so many days later; a negative number goes back.
    package static func day(_ day: LocalDay, plus days: Int) -> LocalDay {
        Self.day(ofUTC: utcMidnight(of: day) + Double(days) * 86400)
    }

    /// The week of `instant`, from Monday to Monday.
    package func week(of instant: Date) -> Interval {
        let today = day(of: instant)
        let monday = Self.day(today, plus: 1 - Self.weekday(of: today))
        return Interval(
            start: self.instant(.midnight, on: monday), end: self.instant(.midnight, on: Self.day(monday, plus: 7)))
    }

    /// As `08:00`.
    package func timeText(_ instant: Date) -> String {
        let seconds = Int((instant + offset(at: instant)).timeIntervalSince(Self.utcMidnight(of: day(of: instant))))
        return LocalTime(hour: seconds / 3600, minute: seconds / 60 % 60)?.description ?? ""
    }

    /// What people there call the zone at `instant`, such as `EDT`; an offset where no name is in use.
    package func abbreviation(at instant: Date) -> String {
        // TimeZone.abbreviation(for:) answers GMT-4 in the C locale that servers run in.
        instant.formatted(
            Date.FormatStyle(locale: Locale(identifier: "en_US"), timeZone: timeZone).timeZone(.specificName(.short)))
    }

    /// As `2027-03-15 08:00-14:30 EDT`; without the day if it is `knownDay`, with both ends in full if they differ.
    package func text(_ interval: Interval, knownDay: LocalDay? = nil) -> String {
        let first = day(of: interval.start)
        let last = day(of: interval.end)
        let zone = abbreviation(at: interval.start)
        let endZone = abbreviation(at: interval.end)
        let startZone = zone == endZone ? "" : " " + zone
        let start = (first == last && first == knownDay ? "" : "\(first) ") + timeText(interval.start) + startZone
        let end = (first == last ? "" : "\(last) ") + timeText(interval.end) + " " + endZone
        return start + (first == last && startZone.isEmpty ? "-" : " to ") + end
    }

    private func offset(at instant: Date) -> TimeInterval {
        Double(timeZone.secondsFromGMT(for: instant))
    }

    /// The second in which the offset stops being `offset`, by halving.
    private func skip(between early: Date, and late: Date, from before: TimeInterval) -> Date {
        var (low, high) = (Int(early.timeIntervalSince1970.rounded(.down)) - 1, Int(late.timeIntervalSince1970) + 1)
        while high - low > 1 {
            let middle = (low + high) / 2
            if offset(at: Date(timeIntervalSince1970: Double(middle))) == before { low = middle } else { high = middle }
        }
        return Date(timeIntervalSince1970: Double(high))
    }

    private static let utcCalendar: Calendar = {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        return calendar
    }()

    private static func utcMidnight(of day: LocalDay) -> Date {
        utcCalendar.date(from: DateComponents(year: day.year, month: day.month, day: day.day)) ?? .distantPast
    }

    private static func day(ofUTC instant: Date) -> LocalDay {
        let parts = utcCalendar.dateComponents([.year, .month, .day], from: instant)
        return LocalDay(year: parts.year ?? 1, month: parts.month ?? 1, day: parts.day ?? 1)
    }
}
