package import Domain
package import Foundation
package import Postgres

/// When work may be booked in a week, in local time of the site.
package struct BusinessWeek: ConfigurationRecord, Hashable {
    /// Weekdays that are not here are closed.
    package var days: [Day]
    package var version: Int
    package var updatedAt: Date

    package struct Day: Codable, Hashable, Sendable {
        /// ISO: 1 is Monday.
        package var weekday: Int
        package var opens: LocalTime
        package var closes: LocalTime

        package init(weekday: Int, opens: LocalTime, closes: LocalTime) {
            self.weekday = weekday
            self.opens = opens
            self.closes = closes
        }
    }

    package var key: String { BusinessWeekTable.key }

    package init(days: [Day], version: Int, updatedAt: Date) {
        self.days = days
        self.version = version
        self.updatedAt = updatedAt
    }
}

package struct BusinessWeekTable: ConfigurationTable {
    /// There is one.
    package static let key = "company"

    package init() {}

    package var subjectKind: String { "business_hours" }
    package var noun: String { "business week" }
    package let violations: [String: Problem.FieldError] = [:]

    package func find(_ key: String, isLocked: Bool, in transaction: Transaction) async throws -> BusinessWeek? {
        let head = try await transaction.query(
            "select version, updated_at from business_calendar" + (isLocked ? " for no key update" : ""))
        let rows = try await transaction.query(
            "select weekday, opens::text as opens, closes::text as closes from business_hours order by weekday")
        return try head.first.map { head in
            BusinessWeek(
                days: try rows.map { row in
                    BusinessWeek.Day(
                        weekday: try row.decode("weekday"), opens: try time(row, "opens"),
                        closes: try time(row, "closes"))
                },
                version: try head.decode("version"), updatedAt: try head.decode("updated_at"))
        }
    }

    package func insert(_ record: BusinessWeek, in transaction: Transaction) async throws {
        throw Problem.illegalTransition("There is one business week, which can be changed.")
    }

    package func update(_ record: BusinessWeek, in transaction: Transaction) async throws {
        _ = try await transaction.pipeline([
            "update business_calendar set version = \(record.version), updated_at = \(record.updatedAt)",
            "delete from business_hours",
            """
            insert into business_hours (weekday, opens, closes)
            select weekday, opens::time, closes::time from unnest(
                \(record.days.map(\.weekday)), \(record.days.map(\.opens.description))::text[],
                \(record.days.map(\.closes.description))::text[]) as day (weekday, opens, closes)
            """,
        ])
    }

    private func time(_ row: Row, _ column: String) throws -> LocalTime {
        guard let time = LocalTime(try row.decode(column, as: String.self)) else {
            throw PostgresError(.decodingFailed, "business_hours.\(column) must be a whole minute; correct the row")
        }
        return time
    }
}

/// A day on which nobody works, whatever the weekday.
package struct Holiday: ConfigurationRecord, Hashable {
    package var day: LocalDay
    package var name: String
    package var version: Int
    package var updatedAt: Date

    package var key: String { day.description }

    package init(day: LocalDay, name: String, at instant: Date) {
        self.day = day
        self.name = name
        version = 1
        updatedAt = instant
    }
}

package struct HolidayTable: ConfigurationTable {
    package init() {}

    package var subjectKind: String { "holiday" }
    package var noun: String { "holiday" }
    package let violations: [String: Problem.FieldError] = [
        "holidays_key": .init(pointer: "/day", code: "taken", detail: "is a holiday already")
    ]

    /// By day, from one day to another, the last one included; nil has no end.
    package func list(
        from: LocalDay?, to: LocalDay?, after cursor: KeyCursor?, limit: Int, in transaction: Transaction
    ) async throws -> KeyPage<Holiday> {
        var condition: SQL = "true"
        if let from { condition += " and day >= \(from.description)::date" }
        if let to { condition += " and day <= \(to.description)::date" }
        if let cursor, let day = LocalDay(cursor.id) { condition += " and day > \(day.description)::date" }
        let rows = try await transaction.query(
            Self.select + " where " + condition + " order by day limit \(limit + 1)")
        return KeyPage(try rows.map(Self.decode), limit: limit) { KeyCursor(sort: "", id: $0.key) }
    }

    package func find(_ key: String, isLocked: Bool, in transaction: Transaction) async throws -> Holiday? {
        guard let day = LocalDay(key) else { return nil }
        // Nothing changes a holiday but its removal, and of two removals the second finds nothing.
        return try await transaction.query(Self.select + " where day = \(day.description)::date").first
            .map(Self.decode)
    }

    package func insert(_ record: Holiday, in transaction: Transaction) async throws {
        _ = try await transaction.query(
            """
            insert into holidays (day, name, version, updated_at)
            values (\(record.day.description)::date, \(record.name), \(record.version), \(record.updatedAt))
            """)
    }

    package func update(_ record: Holiday, in transaction: Transaction) async throws {
        throw Problem.illegalTransition("Remove the holiday and add another one.")
    }

    /// - Throws: `Problem` if there is none, or it has another version.
    package func remove(
        _ key: String, expected: Int?, _ note: ChangeNote, in transaction: Transaction
    ) async throws -> Holiday {
        let holiday = try await current(key, expected: expected, in: transaction)
        let gone = try await transaction.query(
            "delete from holidays where day = \(holiday.key)::date returning day")
        if gone.isEmpty { throw Problem.notFound(noun) }
        try await log(.removed, of: key, from: holiday, to: nil, note, in: transaction)
        return holiday
    }

    private static let select: SQL = "select day::text as day, name, version, updated_at from holidays"

    private static func decode(_ row: Row) throws -> Holiday {
        guard let day = LocalDay(try row.decode("day", as: String.self)) else {
            throw PostgresError(.decodingFailed, "holidays.day is not a day; delete the row or correct it")
        }
        var holiday = Holiday(day: day, name: try row.decode("name"), at: try row.decode("updated_at"))
        holiday.version = try row.decode("version")
        return holiday
    }
}
