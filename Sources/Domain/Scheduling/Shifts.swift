import Foundation

/// A stretch of a working week, in local time.
package struct Shift: Codable, Hashable, Sendable {
    /// ISO weekday on which it begins: 1 is Monday.
    package var weekday: Int
    package var from: LocalTime
    /// On the next day if it is not later than `from`, so that a night shift is one shift.
    package var to: LocalTime

    package init(weekday: Int, from: LocalTime, to: LocalTime) {
        self.weekday = weekday
        self.from = from
        self.to = to
    }
}

/// When somebody works, week by week, on the clock of their own zone.
package struct Shifts: Hashable, Sendable {
    package var clock: SiteClock
    /// None means at any time.
    package var shifts: [Shift]

    package init(clock: SiteClock, shifts: [Shift]) {
        self.clock = clock
        self.shifts = shifts
    }

    /// The hours worked that touch `window`, in order, joined where they overlap or touch.
    ///
    /// People go by the clock on the wall: a shift over a clock change is longer or shorter by it.
    package func worked(in window: Interval) -> [Interval] {
        guard !shifts.isEmpty else { return [window] }
        var worked: [Interval] = []
        // A night shift of the day before reaches into the window.
        var day = SiteClock.day(clock.day(of: window.start), plus: -1)
        let last = clock.day(of: window.end)
        while day <= last {
            let weekday = SiteClock.weekday(of: day)
            for shift in shifts where shift.weekday == weekday {
                let start = clock.instant(shift.from, on: day, whenRepeated: .first)
                let end = clock.instant(
                    shift.to, on: shift.to > shift.from ? day : SiteClock.day(day, plus: 1), whenRepeated: .last)
                // A shift that lies in the hour that the clock skips is none.
                if start < end { worked.append(Interval(start: start, end: end)) }
            }
            day = SiteClock.day(day, plus: 1)
        }
        return worked.merged().filter { $0.overlaps(window) }
    }

    /// The hours of `window` that are not worked, in order.
    package func off(in window: Interval) -> [Interval] {
        worked(in: window).gaps(in: window)
    }
}

extension [Interval] {
    /// The same stretches in order, joined where they overlap or touch.
    package func merged() -> [Interval] {
        sorted().reduce(into: []) { merged, next in
            if let last = merged.last, next.start <= last.end {
                merged[merged.count - 1].end = Swift.max(last.end, next.end)
            } else {
                merged.append(next)
            }
        }
    }

    /// What of `window` none of them covers. They must be in order and not overlap.
    package func gaps(in window: Interval) -> [Interval] {
        var gaps: [Interval] = []
        var start = window.start
        for interval in self where interval.end > window.start && interval.start < window.end {
            if start < interval.start { gaps.append(Interval(start: start, end: interval.start)) }
            start = Swift.max(start, interval.end)
        }
        if start < window.end { gaps.append(Interval(start: start, end: window.end)) }
        return gaps
    }
}
