import Domain
import Foundation
import Testing

@Suite struct ShiftTests {
    private static func shifts(_ shifts: (Int, String, String)...) throws -> Shifts {
        Shifts(
            clock: try newYork(),
            shifts: try shifts.map { Shift(weekday: $0.0, from: try time($0.1), to: try time($0.2)) })
    }

    @Test func whoHasNoShiftsWorksAtAnyTime() throws {
        let window = try interval("2027-03-15T00:00:00Z", "2027-03-16T00:00:00Z")
        #expect(try Self.shifts().worked(in: window) == [window])
        #expect(try Self.shifts().off(in: window).isEmpty)
    }

    @Test func whatIsNotAShiftIsOff() throws {
        // A Monday, on daylight saving time.
        let window = try interval("2027-03-15T04:00:00Z", "2027-03-16T04:00:00Z")
        let off = try Self.shifts((1, "07:00", "12:00"), (1, "12:30", "16:00"), (2, "07:00", "16:00")).off(in: window)
        #expect(
            off == [
                try interval("2027-03-15T04:00:00Z", "2027-03-15T11:00:00Z"),
                try interval("2027-03-15T16:00:00Z", "2027-03-15T16:30:00Z"),
                try interval("2027-03-15T20:00:00Z", "2027-03-16T04:00:00Z"),
            ])
    }

    @Test func aNightShiftReachesIntoTheNextDay() throws {
        let tuesday = try interval("2027-03-16T04:00:00Z", "2027-03-17T04:00:00Z")
        let worked = try Self.shifts((1, "22:00", "06:00")).worked(in: tuesday)
        #expect(worked == [try interval("2027-03-16T02:00:00Z", "2027-03-16T10:00:00Z")])
    }

    /// Saturday night to Sunday morning, over the hour that is skipped and the one that comes twice.
    @Test(arguments: [("2027-03-13", 7.0), ("2027-03-20", 8.0), ("2027-11-06", 9.0), ("2027-11-13", 8.0)])
    func aShiftOverAClockChangeIsLongerOrShorterByIt(saturday: String, hours: Double) throws {
        let clock = try newYork()
        let day = try #require(LocalDay(saturday))
        let start = clock.instant(try time("12:00"), on: day)
        let worked = try Self.shifts((6, "22:00", "06:00")).worked(
            in: Interval(start: start, end: start + 24 * 3_600))
        #expect(worked.map { $0.duration / 3_600 } == [hours])
    }

    @Test func aShiftWithinTheSkippedHourIsNone() throws {
        let window = try interval("2027-03-14T05:00:00Z", "2027-03-15T04:00:00Z")
        #expect(try Self.shifts((7, "02:10", "02:50")).worked(in: window).isEmpty)
        // In autumn the hour comes twice, and so do those who work in it.
        let autumn = try interval("2027-11-07T04:00:00Z", "2027-11-08T05:00:00Z")
        #expect(try Self.shifts((7, "01:10", "01:50")).worked(in: autumn).map(\.duration) == [100 * 60])
    }

    /// At every minute of the two weeks around both clock changes of 2027, whoever looks at the clock on the wall and whoever
    /// asks the shifts come to the same answer.
    @Test(arguments: clockChanges.indices)
    func theClockOnTheWallDecides(change: Int) throws {
        let clock = try newYork()
        var random = SeededGenerator(state: 2_027 &+ UInt64(change))
        let window = try interval(clockChanges[change].from, clockChanges[change].to)
        for _ in 0..<20 {
            let shifts = (0..<Int.random(in: 1...6, using: &random)).map { _ in
                let from = Int.random(in: 0..<1_440, using: &random)
                let length = Int.random(in: 1..<1_440, using: &random)
                let to = (from + length) % 1_440
                return Shift(
                    weekday: Int.random(in: 1...7, using: &random),
                    from: LocalTime(hour: from / 60, minute: from % 60) ?? .midnight,
                    to: LocalTime(hour: to / 60, minute: to % 60) ?? .midnight)
            }
            let worked = Shifts(clock: clock, shifts: shifts).worked(in: window)
            let off = Shifts(clock: clock, shifts: shifts).off(in: window)
            for _ in 0..<500 {
                let minute = Double(Int.random(in: 0..<Int(window.duration / 60), using: &random)) * 60
                // The middle of a minute, so that no edge is met.
                let instant = window.start + minute + 30
                let point = Interval(start: instant, end: instant + 1)
                let shown = clock.timeText(instant)
                let today = SiteClock.weekday(of: clock.day(of: instant))
                let yesterday = today == 1 ? 7 : today - 1
                let isOnTheWall = shifts.contains { shift in
                    let isOvernight = shift.to <= shift.from
                    if shift.weekday == today, shift.from.description <= shown {
                        return isOvernight || shown < shift.to.description
                    }
                    return isOvernight && shift.weekday == yesterday && shown < shift.to.description
                }
                // An hour that comes twice counts from the first to the last, so a shift that begins or ends in it may be
                // worked although the second time round the wall says no; never the other way about.
                let isWorked = worked.contains { $0.overlaps(point) }
                let isRepeated =
                    clock.timeText(instant + 3_600) == shown || clock.timeText(instant - 3_600) == shown
                #expect(isWorked == isOnTheWall || (isRepeated && isWorked), "\(instant) \(shifts)")
                #expect(isWorked != off.contains { $0.overlaps(point) })
            }
        }
    }

    @Test func stretchesJoinWhereTheyTouch() throws {
        let (a, b) = (try interval("2027-03-15T08:00:00Z", "2027-03-15T09:00:00Z"), try instant("2027-03-15T10:00:00Z"))
        #expect([Interval(start: a.end, end: b), a].merged() == [Interval(start: a.start, end: b)])
        #expect([a].gaps(in: a).isEmpty)
        #expect([Interval]().gaps(in: a) == [a])
    }
}
