package import Domain
package import Foundation
package import Postgres

/// How much resources have to do, by week.
///
/// Triggers note every change of allocations as a row of its own, so that writers do not wait for each other; `fold` adds such
/// rows to one sum for each week and resource.
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
        let wanted: SQL = """
            any(array(select date '1970-01-01' + n::int from unnest(\(weeks.map(\.monday).sorted())) as n))
            """
        return """
            select week - date '1970-01-01' as monday, resource_id, sum(seconds)::bigint as seconds
            from (
                select week, resource_id, seconds from resource_loads where week = \(wanted) union all
                select week, resource_id, seconds from resource_load_changes where week = \(wanted)
            ) as all_loads
            group by week, resource_id
            """
    }

    /// Adds changes to the sums that reading begins with, the oldest first.
    ///
    /// - Parameter limit: how many at the most.
    /// - Returns: how many there were; none while somebody else does the same.
    /// - Throws: `PostgresError`.
    package static func fold(upTo limit: Int, on pool: PostgresPool) async throws -> Int {
        try await pool.query("select fold_resource_loads(\(limit)::int) as folded")[0].decode("folded")
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
