import Domain
import Foundation
import Persistence
import Postgres

/// What a job command asks for, checked against the rules in the database.
struct JobPlan: Sendable {
    let service: ServiceType
    let calendar: BusinessCalendar
    let footprint: Footprint
    let isAnyHour: Bool
    let now: Date

    var finder: SlotFinder {
        SlotFinder(calendar: calendar, isAnyHour: isAnyHour, footprint: footprint)
    }

    /// What the request is checked for.
    struct Wish: Sendable {
        var service: String
        var priority: Priority
        var timeZone: String
        /// Nil takes the service's default.
        var durationMinutes: Int?
        var crew: ResourceID?
        /// Where the zone stands in the request.
        var timeZonePointer = "/site/time_zone"
    }

    /// - Throws: `Problem.validation` with every field that does not fit.
    static func make(_ wish: Wish, now: Date, in transaction: Transaction) async throws -> JobPlan {
        var errors: [Problem.FieldError] = []
        func refuse(_ pointer: String, _ code: String, _ detail: String) {
            errors.append(Problem.FieldError(pointer: pointer, code: code, detail: detail))
        }
        let clock = SiteClock(identifier: wish.timeZone)
        if clock == nil {
            refuse(wish.timeZonePointer, "unknown_time_zone", "Use an IANA name such as America/New_York.")
        }
        let service = try await BookingRules.serviceType(wish.service, in: transaction)
        if service == nil { refuse("/service", "unknown_service", "There is no service type with this code.") }
        if let crew = wish.crew {
            let resources = try await Resources.active(.crew, equipmentTypes: [], in: transaction)
            let found = resources.first { $0.id == crew }
            if found == nil { refuse("/crew", "unknown_crew", "There is no active crew with this id.") }
            let missing = found.map { (service?.skills ?? []).subtracting($0.skills).sorted() } ?? []
            if !missing.isEmpty {
                refuse("/crew", "skill_missing", "This crew lacks: \(missing.joined(separator: ", ")).")
            }
        }
        guard let clock, let service else { throw Problem.validation(errors) }

        let calendar = try await BookingRules.calendar(for: clock, in: transaction)
        var footprint = service.footprint
        footprint.workMinutes = wish.durationMinutes ?? footprint.workMinutes
        let isAnyHour = service.isAnyHour || wish.priority == .emergency
        let longest = isAnyHour ? 1440 : min(1440, calendar.longestVisitMinutes)
        if footprint.workMinutes < 15 {
            refuse("/duration_minutes", "too_short", "The shortest job is 15 minutes.")
        } else if footprint.workMinutes > longest {
            refuse(
                "/duration_minutes", "too_long",
                "The longest working day has \(longest) minutes. Split the work into one job for each day.")
        }
        guard errors.isEmpty else { throw Problem.validation(errors) }
        return JobPlan(service: service, calendar: calendar, footprint: footprint, isAnyHour: isAnyHour, now: now)
    }

    /// How late a start may be told: the crew is on its way while somebody types.
    static let lateness: TimeInterval = 15 * 60

    /// Further ahead a date is rather a typing error.
    static let horizonDays = 730

    /// How many days a search for the first free time goes.
    var searchDays: Double { isAnyHour ? 14 : 60 }

    /// What is wrong with a start, business hours and holidays included; nil if nothing is.
    func objection(to start: Date) -> Problem.FieldError? {
        func error(_ code: String, _ detail: String) -> Problem.FieldError {
            Problem.FieldError(pointer: "/starts_at", code: code, detail: detail)
        }
        if start < now - Self.lateness { return error("in_past", "This time is over.") }
        if start > now + Double(Self.horizonDays) * 86400 {
            return error("too_far", "Jobs are planned at most \(Self.horizonDays) days ahead.")
        }
        guard !isAnyHour, let closed = calendar.objection(to: footprint.work(from: start)) else { return nil }
        return error(closed.code, closed.description)
    }

    /// When alternatives to `start` may start.
    func alternativesWindow(around start: Date) -> Interval {
        let day: TimeInterval = 86400
        let horizon = now + Double(Self.horizonDays) * day
        let near = min(max(start, now), horizon)
        return Interval(start: max(now, near - 7 * day), end: min(near + 14 * day, horizon))
    }
}
