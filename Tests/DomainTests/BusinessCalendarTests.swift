import Domain
import Foundation
import Testing

@Suite struct BusinessCalendarTests {
    @Test(arguments: clockChanges)
    func workingDaysKeepTheirClockTimesOverAClockChange(from: String, to: String) throws {
        let calendar = try weekdayCalendar()
        let openings = calendar.openings(from: try instant(from), to: try instant(to))
        #expect((10...11).contains(openings.count))
        for opening in openings {
            #expect(calendar.clock.timeText(opening.start) == "07:00")
            #expect(calendar.clock.timeText(opening.end) == "17:00")
            #expect(opening.duration == 10 * 3600)
            #expect(SiteClock.weekday(of: calendar.clock.day(of: opening.start)) <= 5)
        }
    }

    @Test func theInstantOfOpeningMovesByAnHour() throws {
        let calendar = try weekdayCalendar()
        let friday = LocalDay(year: 2027, month: 3, day: 12)
        let monday = LocalDay(year: 2027, month: 3, day: 15)
        #expect(calendar.opening(on: friday)?.start == (try instant("2027-03-12T12:00:00Z")))
        #expect(calendar.opening(on: monday)?.start == (try instant("2027-03-15T11:00:00Z")))
        let before = LocalDay(year: 2027, month: 11, day: 5)
        let after = LocalDay(year: 2027, month: 11, day: 8)
        #expect(calendar.opening(on: before)?.start == (try instant("2027-11-05T11:00:00Z")))
        #expect(calendar.opening(on: after)?.start == (try instant("2027-11-08T12:00:00Z")))
    }

    @Test func aDayThatIsOpenThroughTheChangeIsShorterOrLonger() throws {
        let wholeDay = BusinessCalendar.Hours(opens: try time("00:00"), closes: try time("24:00"))
        let calendar = BusinessCalendar(clock: try newYork(), hours: [7: wholeDay])
        #expect(calendar.opening(on: LocalDay(year: 2027, month: 3, day: 14))?.duration == 82800.0)
        #expect(calendar.opening(on: LocalDay(year: 2027, month: 11, day: 7))?.duration == 90000.0)
        #expect(calendar.opening(on: LocalDay(year: 2027, month: 11, day: 14))?.duration == 86400.0)
    }

    @Test func hoursInsideTheGapAreClosed() throws {
        let gap = BusinessCalendar.Hours(opens: try time("02:00"), closes: try time("03:00"))
        let calendar = BusinessCalendar(clock: try newYork(), hours: [7: gap])
        #expect(calendar.opening(on: LocalDay(year: 2027, month: 3, day: 14)) == nil)
        #expect(calendar.opening(on: LocalDay(year: 2027, month: 3, day: 21)) != nil)
    }

    @Test func anObjectionSaysWhy() throws {
        let holiday = LocalDay(year: 2027, month: 11, day: 25)
        let calendar = try weekdayCalendar(holidays: [holiday: "Thanksgiving"])
        func code(_ start: String, _ end: String) throws -> String? {
            calendar.objection(to: try interval(start, end))?.code
        }
        #expect(try code("2027-11-25T15:00:00Z", "2027-11-25T16:00:00Z") == "holiday")
        #expect(try code("2027-11-27T15:00:00Z", "2027-11-27T16:00:00Z") == "closed_day")
        #expect(try code("2027-11-26T11:59:00Z", "2027-11-26T13:00:00Z") == "outside_hours")
        #expect(try code("2027-11-26T21:30:00Z", "2027-11-26T22:01:00Z") == "outside_hours")
        #expect(try code("2027-11-26T12:00:00Z", "2027-11-26T22:00:00Z") == nil)
        // Friday evening to Monday morning is not one stretch of business hours.
        #expect(try code("2027-11-26T12:00:00Z", "2027-11-29T13:00:00Z") == "outside_hours")
        let words = calendar.objection(to: try interval("2027-11-26T11:00:00Z", "2027-11-26T13:00:00Z"))
        #expect(
            words?.description
                == "2027-11-26 06:00-08:00 EST is outside business hours: 07:00-17:00 local time.")
        #expect(calendar.longestVisitMinutes == 600)
    }
}
