package import Foundation

/// When work may be booked at a site: opening hours in local time, and days on which nobody works.
package struct BusinessCalendar: Hashable, Sendable {
    package var clock: SiteClock
    /// By ISO weekday, 1 is Monday. A weekday without an entry is closed.
    package var hours: [Int: Hours]
    /// Names by day.
    package var holidays: [LocalDay: String]

    package struct Hours: Hashable, Sendable {
        package var opens: LocalTime
        package var closes: LocalTime

        package init(opens: LocalTime, closes: LocalTime) {
            self.opens = opens
            self.closes = closes
        }
    }

    /// Why a visit cannot be at a time, in plain words for the person who asked.
    package struct Closed: Hashable, Sendable, Error, CustomStringConvertible {
        /// Stable, such as `holiday`.
        package var code: String
        package var description: String

        package init(code: String, description: String) {
            self.code = code
            self.description = description
        }
    }

    package init(clock: SiteClock, hours: [Int: Hours], holidays: [LocalDay: String] = [:]) {
        self.clock = clock
        self.hours = hours
        self.holidays = holidays
    }

    /// The hours of one day as instants; nil if it is closed.
    ///
    /// A clock change within the hours makes the day longer or shorter, since people go by the clock on the wall.
    package func opening(on day: LocalDay) -> Interval? {
        guard holidays[day] == nil, let hours = hours[SiteClock.weekday(of: day)] else { return nil }
        let start = clock.instant(hours.opens, on: day, whenRepeated: .first)
        let end = clock.instant(hours.closes, on: day, whenRepeated: .last)
        return start < end ? Interval(start: start, end: end) : nil
    }

    /// The open hours that touch the days from `start` to `end`, in order.
    package func openings(from start: Date, to end: Date) -> [Interval] {
        var openings: [Interval] = []
        var day = clock.day(of: start)
        let last = clock.day(of: end)
        while day <= last {
            if let opening = opening(on: day) { openings.append(opening) }
            day = SiteClock.day(day, plus: 1)
        }
        return openings
    }

    /// Whether a visit lies within the hours of one day. Buffers need not: they are travel and preparation.
    ///
    /// - Returns: nil if it does, otherwise why not.
    package func objection(to work: Interval) -> Closed? {
        let day = clock.day(of: work.start)
        if let holiday = holidays[day] {
            return Closed(code: "holiday", description: "\(day) is a holiday: \(holiday).")
        }
        guard let hours = hours[SiteClock.weekday(of: day)], let opening = opening(on: day) else {
            return Closed(code: "closed_day", description: "\(day) is not a working day.")
        }
        if opening.contains(work) { return nil }
        return Closed(
            code: "outside_hours",
            description: "\(clock.text(work)) is outside business hours: \(hours.opens)-\(hours.closes) local time.")
    }

    /// The longest visit that any day has room for, in minutes; 0 if every day is closed.
    package var longestVisitMinutes: Int {
        hours.values.map { $0.closes.minutes - $0.opens.minutes }.max() ?? 0
    }
}
