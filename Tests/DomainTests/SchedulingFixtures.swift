import Domain
import Foundation

/// A small generator with a seed, so that a failing case can be run again.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    // SplitMix64, as published by Steele, Lea and Flood (2014).
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

func instant(_ text: String) throws -> Date {
    try Date(text, strategy: .iso8601)
}

func interval(_ start: String, _ end: String) throws -> Interval {
    Interval(start: try instant(start), end: try instant(end))
}

/// The window of two weeks around each clock change of 2027 in New York.
let clockChanges: [(from: String, to: String)] = [
    ("2027-03-07T00:00:00Z", "2027-03-22T00:00:00Z"),
    ("2027-10-31T00:00:00Z", "2027-11-15T00:00:00Z"),
]

func newYork() throws -> SiteClock {
    guard let clock = SiteClock(identifier: "America/New_York") else { throw MissingFixture() }
    return clock
}

func time(_ text: String) throws -> LocalTime {
    guard let time = LocalTime(text) else { throw MissingFixture() }
    return time
}

struct MissingFixture: Error {}

/// Monday to Friday, 07:00 to 17:00.
func weekdayCalendar(holidays: [LocalDay: String] = [:]) throws -> BusinessCalendar {
    let hours = BusinessCalendar.Hours(opens: try time("07:00"), closes: try time("17:00"))
    return BusinessCalendar(
        clock: try newYork(), hours: Dictionary(uniqueKeysWithValues: (1...5).map { ($0, hours) }), holidays: holidays)
}

func candidate(
    _ name: String, busy: [Interval] = [], loadMinutes: Int = 0, preference: Int = Candidate.noPreference
) -> Candidate {
    let digest = Array(name.utf8) + Array(repeating: 0, count: 16)
    return Candidate(
        assignee: Assignee(id: ResourceID(digest: digest), name: name), busy: busy, loadMinutes: loadMinutes,
        preference: preference)
}
