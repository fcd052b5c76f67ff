package import Domain
import Foundation

/// Visits as people at the site read them: local time, always with the zone.
package enum VisitClock {
    /// Such as `Tuesday, March 16, 2027, 9:00 AM to 10:00 AM EDT`; a visit over midnight shows both days.
    package static func text(_ visit: Visit) -> String {
        let zone = TimeZone(identifier: visit.timeZone) ?? .gmt
        let abbreviation = zone.abbreviation(for: visit.startsAt) ?? zone.identifier
        let day = style("EEEE, MMMM d, yyyy", zone)
        let clock = style("h:mm a", zone)
        let (from, to) = (day.string(from: visit.startsAt), day.string(from: visit.endsAt))
        let end = from == to ? clock.string(from: visit.endsAt) : "\(to), \(clock.string(from: visit.endsAt))"
        let endAbbreviation = zone.abbreviation(for: visit.endsAt) ?? zone.identifier
        // On the night of a clock change, start and end may be in different offsets.
        let start = clock.string(from: visit.startsAt) + (abbreviation == endAbbreviation ? "" : " \(abbreviation)")
        return "\(from), \(start) to \(end) \(endAbbreviation)"
    }

    private static func style(_ pattern: String, _ zone: TimeZone) -> DateFormatter {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = zone
        formatter.dateFormat = pattern
        return formatter
    }
}

extension VisitClock {
    /// Such as `March 16, 2027`, for subjects.
    package static func day(_ visit: Visit) -> String {
        style("MMMM d, yyyy", TimeZone(identifier: visit.timeZone) ?? .gmt).string(from: visit.startsAt)
    }
}
