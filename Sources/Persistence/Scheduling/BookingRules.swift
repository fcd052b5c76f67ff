package import Domain
package import Postgres

/// What a kind of job needs.
package struct ServiceType: Hashable, Sendable {
    package var code: String
    package var name: String
    /// `workMinutes` is the default length; a request may ask for another.
    package var footprint: Footprint
    /// One machine of each type.
    package var equipmentTypes: [String]
    /// Skills that a crew must have, all of them.
    package var skills: Set<String>
    /// The fewest people; nil if any crew will do.
    package var crewSize: Int?
    package var isAnyHour: Bool
    /// Whether new jobs may be of it.
    package var isActive: Bool

    /// What it asks of a crew.
    package var demands: Demands { Demands(skills: skills, crewSize: crewSize) }
}

/// What a kind of consultation needs.
package struct ConsultationType: Hashable, Sendable {
    package var kind: ConsultationKind
    package var footprint: Footprint
    package var noticeMinutes: Int
    package var horizonDays: Int
    package var isAnyHour: Bool
}

/// The company's rules for booking, which are rows that it may change.
package enum BookingRules {
    package static func serviceType(_ code: String, in transaction: Transaction) async throws -> ServiceType? {
        let rows = try await transaction.query(
            """
            select code, name, duration_minutes, buffer_before_minutes, buffer_after_minutes, equipment_types, skills,
                crew_size, any_hour, active
            from service_types where code = \(code)
            """)
        return try rows.first.map { row in
            // A type that is listed twice is still one machine.
            let types = Set(try row.decode("equipment_types", as: [String].self)).sorted()
            return ServiceType(
                code: try row.decode("code"), name: try row.decode("name"), footprint: try Footprint(row: row),
                equipmentTypes: types, skills: Set(try row.decode("skills", as: [String].self)),
                crewSize: try row.decode("crew_size"), isAnyHour: try row.decode("any_hour"),
                isActive: try row.decode("active"))
        }
    }

    package static func consultationType(
        _ kind: ConsultationKind, in transaction: Transaction
    ) async throws -> ConsultationType? {
        let rows = try await transaction.query("\(consultationTypes) where kind = \(kind.rawValue)")
        return try rows.first.map(ConsultationType.init(row:))
    }

    static let consultationTypes: SQL = """
        select kind, duration_minutes, buffer_before_minutes, buffer_after_minutes, notice_minutes, horizon_days,
            any_hour
        from consultation_types
        """

    /// Business hours and holidays as they are at a site.
    package static func calendar(for clock: SiteClock, in transaction: Transaction) async throws -> BusinessCalendar {
        let answers = try await transaction.pipeline(BusinessHours.reading)
        return try BusinessHours(answers[0], holidays: answers[1]).calendar(for: clock)
    }
}

/// When work may be booked, by the wall clock of whatever site it is.
struct BusinessHours: Sendable {
    private var hours: [Int: BusinessCalendar.Hours] = [:]
    private var holidays: [LocalDay: String] = [:]

    static let reading: [SQL] = [
        "select weekday, opens::text as opens, closes::text as closes from business_hours",
        "select day::text as day, name from holidays",
    ]

    /// - Parameters: the answers to `reading`.
    init(_ rows: Rows, holidays: Rows) throws {
        for row in rows {
            hours[try row.decode("weekday")] = BusinessCalendar.Hours(
                opens: try Self.time(row, "opens"), closes: try Self.time(row, "closes"))
        }
        for row in holidays {
            guard let day = LocalDay(try row.decode("day", as: String.self)) else {
                throw PostgresError(.decodingFailed, "holidays.day is not a day; delete the row or correct it")
            }
            self.holidays[day] = try row.decode("name", as: String.self)
        }
    }

    func calendar(for clock: SiteClock) -> BusinessCalendar {
        var calendar = BusinessCalendar(clock: clock, hours: hours)
        calendar.holidays = holidays
        return calendar
    }

    private static func time(_ row: Row, _ column: String) throws -> LocalTime {
        guard let time = LocalTime(try row.decode(column, as: String.self)) else {
            throw PostgresError(.decodingFailed, "business_hours.\(column) must be a whole minute; correct the row")
        }
        return time
    }
}

extension ConsultationType {
    init(row: Row) throws {
        self.init(
            kind: try row.decodeRaw("kind"), footprint: try Footprint(row: row),
            noticeMinutes: try row.decode("notice_minutes"), horizonDays: try row.decode("horizon_days"),
            isAnyHour: try row.decode("any_hour"))
    }
}

extension Footprint {
    fileprivate init(row: Row) throws {
        self.init(
            workMinutes: try row.decode("duration_minutes"),
            bufferBeforeMinutes: try row.decode("buffer_before_minutes"),
            bufferAfterMinutes: try row.decode("buffer_after_minutes"))
    }
}
