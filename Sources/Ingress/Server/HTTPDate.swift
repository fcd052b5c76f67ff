import Foundation
import Synchronization

/// The `Date` header's value, made once a second.
final class HTTPDate: Sendable {
    private let state = Mutex((second: 0, text: ""))

    func text(at now: Date) -> String {
        let second = Int(now.timeIntervalSince1970.rounded(.down))
        return state.withLock { state in
            if state.second != second {
                state = (second, Self.format(second))
            }
            return state.text
        }
    }

    /// IMF-fixdate (RFC 9110 section 5.6.7), such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    static func format(_ second: Int) -> String {
        var instant = time_t(second)
        var parts = tm()
        gmtime_r(&instant, &parts)
        func padded(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let day = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][Int(parts.tm_wday)]
        let month = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ][Int(parts.tm_mon)]
        return "\(day), \(padded(parts.tm_mday)) \(month) \(parts.tm_year + 1900) "
            + "\(padded(parts.tm_hour)):\(padded(parts.tm_min)):\(padded(parts.tm_sec)) GMT"
    }
}
