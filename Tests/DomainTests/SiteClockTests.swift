import Domain
import Foundation
import Testing

@Suite struct SiteClockTests {
    @Test func aSkippedTimeStandsForTheMomentOfTheSkip() throws {
        let clock = try newYork()
        let day = LocalDay(year: 2027, month: 3, day: 14)
        for text in ["02:00", "02:30", "02:59"] {
            #expect(clock.instant(try time(text), on: day) == (try instant("2027-03-14T07:00:00Z")))
        }
        #expect(clock.instant(try time("01:59"), on: day) == (try instant("2027-03-14T06:59:00Z")))
        #expect(clock.instant(try time("03:00"), on: day) == (try instant("2027-03-14T07:00:00Z")))
    }

    @Test func aRepeatedTimeCanMeanEither() throws {
        let clock = try newYork()
        let day = LocalDay(year: 2027, month: 11, day: 7)
        #expect(clock.instant(try time("01:30"), on: day) == (try instant("2027-11-07T05:30:00Z")))
        #expect(clock.instant(try time("01:30"), on: day, whenRepeated: .last) == (try instant("2027-11-07T06:30:00Z")))
        #expect(clock.instant(try time("02:00"), on: day) == (try instant("2027-11-07T07:00:00Z")))
    }

    @Test func aDayThatAZoneLeftOutIsNoTimeAtAll() throws {
        let samoa = try #require(SiteClock(identifier: "Pacific/Apia"))
        let day = LocalDay(year: 2011, month: 12, day: 30)
        let start = samoa.instant(.midnight, on: day)
        #expect(start == (try instant("2011-12-30T10:00:00Z")))
        #expect(samoa.instant(try time("17:00"), on: day) == start)
        #expect(samoa.day(of: start) == LocalDay(year: 2011, month: 12, day: 31))
    }

    /// The rule agrees with Foundation's calendar wherever the clock shows a time once, in zones with whole, half and
    /// quarter hours, and with a change of half an hour.
    @Test(
        arguments: ["America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Phoenix"])
    func localTimesComeBackAsTheyWent(zone: String) throws {
        let clock = try #require(SiteClock(identifier: zone))
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = clock.timeZone
        var day = LocalDay(year: 2027, month: 1, day: 1)
        var skipped = 0
        while day.year == 2027 {
            for minute in stride(from: 0, to: 1440, by: 30) {
                let time = try #require(LocalTime(hour: minute / 60, minute: minute % 60))
                let first = clock.instant(time, on: day)
                guard clock.timeText(first) == time.description, clock.day(of: first) == day else {
                    skipped += 1
                    continue
                }
                let parts = DateComponents(
                    year: day.year, month: day.month, day: day.day, hour: minute / 60, minute: minute % 60)
                #expect(calendar.date(from: parts) == first, "\(zone) \(day) \(time)")
                let last = clock.instant(time, on: day, whenRepeated: .last)
                #expect(clock.timeText(last) == time.description && first <= last)
            }
            day = SiteClock.day(day, plus: 1)
        }
        let expected = ["America/New_York": 2, "Europe/Berlin": 2, "Australia/Lord_Howe": 1][zone] ?? 0
        #expect(skipped == expected)
    }

    @Test func aWeekWithAClockChangeIsAnHourShorterOrLonger() throws {
        let clock = try newYork()
        #expect(clock.week(of: try instant("2027-03-14T12:00:00Z")).duration == 167 * 3600)
        #expect(clock.week(of: try instant("2027-11-07T12:00:00Z")).duration == 169 * 3600)
        let week = clock.week(of: try instant("2027-03-15T03:59:00Z"))
        #expect(week == (try interval("2027-03-08T05:00:00Z", "2027-03-15T04:00:00Z")))
    }

    @Test func intervalsReadAsPeopleSayThem() throws {
        let clock = try newYork()
        let day = LocalDay(year: 2027, month: 3, day: 15)
        let morning = try interval("2027-03-15T12:00:00Z", "2027-03-15T18:30:00Z")
        #expect(clock.text(morning, knownDay: day) == "08:00-14:30 EDT")
        #expect(clock.text(morning) == "2027-03-15 08:00-14:30 EDT")
        let overnight = try interval("2027-03-15T02:00:00Z", "2027-03-15T05:00:00Z")
        #expect(clock.text(overnight, knownDay: day) == "2027-03-14 22:00 to 2027-03-15 01:00 EDT")
        let change = try interval("2027-03-14T06:30:00Z", "2027-03-14T07:30:00Z")
        #expect(clock.text(change) == "2027-03-14 01:30 EST to 03:30 EDT")
    }

    @Test func localDaysAndTimesRefuseWhatIsNone() {
        #expect(LocalTime("24:00")?.minutes == 1440)
        #expect(LocalTime("07:00:00")?.description == "07:00")
        for text in ["24:01", "7:00", "07:60", "07:00:30", "", "ab:cd", "-1:00"] { #expect(LocalTime(text) == nil) }
        #expect(LocalDay("2027-03-14") == LocalDay(year: 2027, month: 3, day: 14))
        for text in ["2027-13-01", "2027-3-14", "27-03-14", "2027-03-32", "x"] { #expect(LocalDay(text) == nil) }
        #expect(SiteClock(identifier: "Nowhere/Land") == nil)
    }
}
