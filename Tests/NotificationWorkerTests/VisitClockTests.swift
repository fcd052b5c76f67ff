import Domain
import Foundation
import NotificationWorker
import Testing

@Suite struct VisitClockTests {
    private func text(_ start: String, _ end: String, _ zone: String = "America/New_York") throws -> String {
        VisitClock.text(
            Visit(
                startsAt: try Date(start, strategy: .iso8601), endsAt: try Date(end, strategy: .iso8601), timeZone: zone
            ))
    }

    @Test(arguments: [
        ("2027-03-16T13:00:00Z", "2027-03-16T14:00:00Z", "Tuesday, March 16, 2027, 9:00 AM to 10:00 AM EDT"),
        ("2027-01-05T13:00:00Z", "2027-01-05T14:30:00Z", "Tuesday, January 5, 2027, 8:00 AM to 9:30 AM EST"),
        // Noon and midnight.
        ("2027-01-05T17:00:00Z", "2027-01-05T18:00:00Z", "Tuesday, January 5, 2027, 12:00 PM to 1:00 PM EST"),
        (
            "2027-03-17T02:30:00Z", "2027-03-17T05:30:00Z",
            "Tuesday, March 16, 2027, 10:30 PM to Wednesday, March 17, 2027, 1:30 AM EDT"
        ),
        // Clocks go forward on March 14, 2027 at 2:00, so 1:30 to 3:30 is one hour.
        ("2027-03-14T06:30:00Z", "2027-03-14T07:30:00Z", "Sunday, March 14, 2027, 1:30 AM EST to 3:30 AM EDT"),
        // Clocks go back on November 7, 2027 at 2:00: 1:30 comes twice.
        ("2027-11-07T05:30:00Z", "2027-11-07T06:30:00Z", "Sunday, November 7, 2027, 1:30 AM EDT to 1:30 AM EST"),
        ("2027-11-07T06:30:00Z", "2027-11-07T07:30:00Z", "Sunday, November 7, 2027, 1:30 AM to 2:30 AM EST"),
    ])
    func visitsAreShownInTheSitesTime(_ start: String, _ end: String, _ expected: String) throws {
        #expect(try text(start, end) == expected)
    }

    @Test(arguments: [
        ("America/Phoenix", "6:00 AM to 7:00 AM MST"), ("America/Chicago", "8:00 AM to 9:00 AM CDT"),
        ("Europe/Berlin", "2:00 PM to 3:00 PM GMT+1"), ("Etc/UTC", "1:00 PM to 2:00 PM UTC"),
        ("Not/AZone", "1:00 PM to 2:00 PM GMT"),
    ])
    func theZoneIsAlwaysShown(_ zone: String, _ expected: String) throws {
        #expect(try text("2027-03-16T13:00:00Z", "2027-03-16T14:00:00Z", zone).hasSuffix(expected))
    }

    @Test func subjectsShowTheDayAtTheSite() throws {
        let start = try Date("2027-03-17T02:30:00Z", strategy: .iso8601)
        let visit = Visit(startsAt: start, endsAt: start.addingTimeInterval(60), timeZone: "America/New_York")
        #expect(VisitClock.day(visit) == "March 16, 2027")
    }
}
