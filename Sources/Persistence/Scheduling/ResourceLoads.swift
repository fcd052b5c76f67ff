package import Domain
package import Foundation
import Postgres

/// How much resources have to do, by week; the database keeps it with every change of allocations.
package struct ResourceLoads: Hashable, Sendable {
    /// A week from Monday to Monday in UTC, by the days from 1970-01-01 to its Monday.
    package struct Week: Hashable, Sendable {
        package let monday: Int

        package init(of instant: Date) {
            let day = Int((instant.timeIntervalSince1970 / 86400).rounded(.down))
            // 1970-01-01 was a Thursday.
            let weekday = ((day + 3) % 7 + 7) % 7
            monday = day - weekday
        }
    }

    private var seconds: [Week: [ResourceID: Int]] = [:]

    package init() {}

    /// Seconds of work that begin in a week, buffers included.
    package subscript(week: Week, resource: ResourceID) -> Int {
        get { seconds[week]?[resource] ?? 0 }
        set { seconds[week, default: [:]][resource] = newValue }
    }

    /// Reads the loads of all resources in some weeks.
    static func reading(_ weeks: Set<Week>) -> SQL {
        """
        select week - date '1970-01-01' as monday, resource_id, seconds from resource_loads
        where week = any(select date '1970-01-01' + n::int from unnest(\(weeks.map(\.monday).sorted())) as n)
        """
    }

    init(_ rows: Rows) throws {
        for row in rows {
            let week = Week(monday: try row.decode("monday"))
            self[week, try row.decodeRaw("resource_id")] = try row.decode("seconds")
        }
    }
}

extension ResourceLoads.Week {
    fileprivate init(monday: Int) {
        self.monday = monday
    }
}
