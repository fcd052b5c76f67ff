package import Foundation
import Postgres

/// Letters that are alike.
package struct LetterGroup: Hashable, Sendable {
    package var fingerprint: String
    /// The fingerprint without the build.
    package var cause: String
    package var type: String
    package var handler: String
    package var build: String?
    package var errorCode: String?
    package var normalisedError: String
    package var firstSeen: Date
    package var lastSeen: Date
    /// Letters that were ever journalled.
    package var letters: Int
    /// Letters that nobody has dealt with, those of campaigns included.
    package var unresolved: Int
    /// The id of the youngest letter; it may have been purged.
    package var example: String
    /// Letters in each of the last twelve hours, the oldest first.
    package var hourly: [Int]
    /// The first build that ran after the last letter of the same cause, in whatever build that was; nil if there is none.
    package var noneSinceBuild: String?

    /// Which way the number of letters goes.
    package enum Trend: String, Hashable, Sendable {
        case rising, steady, falling
        /// None in the last twelve hours.
        case quiet
    }

    /// The last three hours against the three before.
    package var trend: Trend {
        if hourly.allSatisfy({ $0 == 0 }) { return .quiet }
        let (late, early) = (hourly.suffix(3).reduce(0, +), hourly.dropLast(3).suffix(3).reduce(0, +))
        return late > early ? .rising : late < early ? .falling : .steady
    }

    init(_ row: Row) throws {
        fingerprint = try row.decode("fingerprint")
        cause = try row.decode("cause")
        type = try row.decode("type")
        handler = try row.decode("handler")
        build = try row.decode("build", as: String?.self)
        errorCode = try row.decode("error_code", as: String?.self)
        normalisedError = try row.decode("normalised_error")
        firstSeen = try row.decode("first_seen")
        lastSeen = try row.decode("last_seen")
        letters = try row.decode("letters")
        unresolved = try row.decode("unresolved")
        example = try row.decode("example")
        hourly = try row.decode("hourly", as: [Int].self)
        noneSinceBuild = try row.decode("none_since_build", as: String?.self)
    }
}
