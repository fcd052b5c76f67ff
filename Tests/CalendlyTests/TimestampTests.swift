import Calendly
import Foundation
import Testing

@Suite struct TimestampTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", Int64(0)),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2027-03-16T13:00:00Z", 1_805_202_000_000_000),
        ("2027-03-16T13:00:00.551Z", 1_805_202_000_551_000),
        ("2027-03-16T13:00:00.131977Z", 1_805_202_000_131_977),
        ("2027-03-16T13:00:00.1319779Z", 1_805_202_000_131_977),
        ("2027-03-16T09:00:00-04:00", 1_805_202_000_000_000),
        ("2027-03-16T18:30:00+05:30", 1_805_202_000_000_000),
        ("2028-02-29T00:00:00Z", 1_835_395_200_000_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
    ])
    func readsEveryNumberOfFractionDigits(text: String, microseconds: Int64) {
        #expect(Timestamp(text)?.microseconds == microseconds)
    }

    @Test(arguments: [
        "", "2027-03-16", "2027-03-16T13:00:00", "2027-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
        "2027-13-01T00:00:00Z", "2027-00-01T00:00:00Z", "2027-01-00T00:00:00Z", "2027-04-31T00:00:00Z",
        "2027-03-16T24:00:00Z", "2027-03-16T13:60:00Z", "2027-03-16T13:00:61Z", "2027-03-16T13:00:00.Z",
        "2027-03-16T13:00:00+25:00", "2027-03-16T13:00:00Z ", "٢٠٢٧-03-16T13:00:00Z", "2027-3-16T13:00:00Z",
    ])
    func refusesWhatIsNoInstant(text: String) {
        #expect(Timestamp(text) == nil)
    }

    @Test func textReadsBackAsItselfOverFourHundredYears() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<5000 {
            let instant = Timestamp(
                microseconds: .random(in: -6_000_000_000_000_000...6_600_000_000_000_000, using: &generator))
            #expect(Timestamp(instant.text) == instant)
        }
    }

    @Test func agreesWithFoundationOnEveryDayOfSomeYears() throws {
        var day = Date(timeIntervalSince1970: 0)
        for _ in 0..<40_000 {
            let text = day.formatted(.iso8601)
            #expect(Timestamp(text)?.microseconds == Int64(day.timeIntervalSince1970) * 1_000_000, "\(text)")
            day += 86_400
        }
    }

    /// `Date` is a double; so are its conversions still exact to the microsecond in the years that matter?
    @Test func aDateKeepsMicroseconds() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<5000 {
            let instant = Timestamp(
                microseconds: .random(in: 1_700_000_000_000_000...2_500_000_000_000_000, using: &generator))
            #expect(Timestamp(instant.date) == instant)
        }
    }
}
