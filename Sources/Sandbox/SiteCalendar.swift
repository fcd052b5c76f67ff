package import Foundation

/// Dates at the site, counted in business days from a given day.
package struct SiteCalendar: Sendable {
    package static let zone = "America/New_York"
    private let calendar: Calendar
    private let today: Date

    package init(now: Date) {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(identifier: Self.zone) ?? .gmt
        self.calendar = calendar
        today = calendar.startOfDay(for: now)
    }

    /// An hour of the day that is `count` business days from today, on the site's clock.
    package func businessDay(_ count: Int, hour: Int) -> Date {
        var day = today
        var left = count
        while left > 0 {
            day = calendar.date(byAdding: .day, value: 1, to: day) ?? day.addingTimeInterval(86_400)
            if !calendar.isDateInWeekend(day) { left -= 1 }
        }
        return calendar.date(bySettingHour: hour, minute: 0, second: 0, of: day) ?? day
    }
}
