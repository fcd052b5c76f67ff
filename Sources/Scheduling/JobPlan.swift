package import Domain
package import Foundation
package import Persistence
package import Postgres

/// What a job command asks for, checked against the rules in the database.
package struct JobPlan: Sendable {
    package let service: ServiceType
    package let calendar: BusinessCalendar
    package let footprint: Footprint
    package let isAnyHour: Bool
    package let now: Date

    package var finder: SlotFinder {
        SlotFinder(calendar: calendar, isAnyHour: isAnyHour, footprint: footprint)
    }

    /// What the request is checked for.
    package struct Wish: Sendable {
        package var service: String
        package var priority: Priority
        package var timeZone: String
        /// Nil takes the service's default.
        package var durationMinutes: Int?
        package var crew: ResourceID?
        /// Where the zone stands in the request.
        package var timeZonePointer = "/site/time_zone"
        /// For a job that is there already: its service may have been withdrawn meanwhile.
        package var takesWithdrawnService = false

        package init(
            service: String, priority: Priority, timeZone: String, durationMinutes: Int? = nil,
            crew: ResourceID? = nil, timeZonePointer: String = "/site/time_zone", takesWithdrawnService: Bool = false
        ) {
            self.service = service
            self.priority = priority
            self.timeZone = timeZone
            self.durationMinutes = durationMinutes
            self.crew = crew
            self.timeZonePointer = timeZonePointer
            self.takesWithdrawnService = takesWithdrawnService
        }
    }

    /// - Throws: `Problem.validation` with every field that does not fit.
    package static func make(_ wish: Wish, now: Date, in transaction: Transaction) async throws -> JobPlan {
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
        if let service, !service.isActive, !wish.takesWithdrawnService {
            refuse("/service", "withdrawn_service", "\(service.name) is no longer offered.")
        }
        if let crew = wish.crew {
            let resources = try await Resources.active(.crew, equipmentTypes: [], in: transaction)
            let found = resources.first { $0.id == crew }
            if found == nil { refuse("/crew", "unknown_crew", "There is no active crew with this id.") }
            if let found, let service,
                let objection = try await ResourceRules.objection(to: found, service.demands, in: transaction)
            {
                refuse("/crew", objection.code, "This crew \(objection.words).")
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
    package static let lateness: TimeInterval = 15 * 60

    /// Further ahead a date is rather a typing error.
    package static let horizonDays = 730

    /// How many days a search for the first free time goes.
    package var searchDays: Double { isAnyHour ? 14 : 60 }

    /// What is wrong with a start, business hours and holidays included; nil if nothing is.
    package func objection(to start: Date) -> Problem.FieldError? {
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
    package func alternativesWindow(around start: Date) -> Interval {
        let day: TimeInterval = 86400
        let horizon = now + Double(Self.horizonDays) * day
        let near = min(max(start, now), horizon)
        return Interval(start: max(now, near - 7 * day), end: min(near + 14 * day, horizon))
    }
}
