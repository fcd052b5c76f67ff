package import Domain
import Foundation
import Synchronization

/// Visits as people at the site read them: local time, always with the zone.
package enum VisitClock {
    /// Such as `Tuesday, March 16, 2027, 9:00 AM to 10:00 AM EDT`; a visit over midnight shows both days, and one over a
    /// clock change both zones.
    package static func text(_ visit: Visit) -> String {
        let day = style("EEEE, MMMM d, yyyy", visit)
        let clock = style("h:mm a", visit)
        let zone = style("zzz", visit)
        let (firstDay, lastDay) = (day.string(from: visit.startsAt), day.string(from: visit.endsAt))
        let (firstZone, lastZone) = (zone.string(from: visit.startsAt), zone.string(from: visit.endsAt))
        let start = clock.string(from: visit.startsAt) + (firstZone == lastZone ? "" : " \(firstZone)")
        let end = (firstDay == lastDay ? "" : "\(lastDay), ") + clock.string(from: visit.endsAt)
        return "\(firstDay), \(start) to \(end) \(lastZone)"
    }

    /// Such as `March 16, 2027`, for subjects.
    package static func day(_ visit: Visit) -> String {
        style("MMMM d, yyyy", visit).string(from: visit.startsAt)
    }

    private static func style(_ pattern: String, _ visit: Visit) -> DateFormatter {
        let key = Style(pattern: pattern, timeZone: visit.timeZone)
        if let known = styles.withLock({ $0[key] }) { return known }
        let formatter = DateFormatter()
        // Whatever the locale of the process is, people at the site read this one.
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: visit.timeZone) ?? .gmt
        formatter.dateFormat = pattern
        styles.withLock { styles in
            if styles.count >= maxStyles { styles = [:] }
            styles[key] = formatter
        }
        return formatter
    }

    private struct Style: Hashable {
        let pattern: String
        let timeZone: String
    }

    /// Making one costs far more than using it. Foundation lets several threads use one.
    private static let styles = Mutex<[Style: DateFormatter]>([:])

    /// Zones come from outside, so their number has a bound.
    private static let maxStyles = 400
}
