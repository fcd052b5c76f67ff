package import Domain
package import Postgres

/// Time off and maintenance, as the scheduler sees them.
package enum Absences {
    /// A stretch of time for which somebody or something is away.
    package struct Away: Hashable, Sendable {
        package var during: Interval
        package var kind: AbsenceKind
        package var reason: String
    }

    /// When resources are away within `window`, in order.
    package static func during(
        _ window: Interval, of resources: [ResourceID], in transaction: Transaction
    ) async throws -> [ResourceID: [Away]] {
        let rows = try await transaction.query(
            """
            select b.resource, b.kind, b.reason, b.starts_at, b.ends_at
            from absences b
            where b.resource = any(\(resources.map(\.rawValue))::text[]) and b.canceled_at is null
                and b.starts_at < \(window.end) and b.ends_at > \(window.start)
            order by b.resource, b.starts_at
            """)
        var absences: [ResourceID: [Away]] = [:]
        for row in rows {
            absences[try row.decodeRaw("resource"), default: []].append(
                Away(
                    during: Interval(start: try row.decode("starts_at"), end: try row.decode("ends_at")),
                    kind: try row.decodeRaw("kind"), reason: try row.decode("reason")))
        }
        return absences
    }

    /// The bookings that hold a resource within a stretch of time, in order; absences do not count.
    ///
    /// - Parameter limit: at most so many.
    package static func bookings(
        of resource: ResourceID, during interval: Interval, limit: Int = 50, in transaction: Transaction
    ) async throws -> [Problem.BookingInTheWay] {
        let rows = try await transaction.query(
            """
            select case when a.subject_kind = 'job' then 'job' else 'consultation' end as kind,
                coalesce(j.id, c.id, a.subject_id) as id,
                coalesce(s.name || ' ' || j.number, t.name, 'Booking') as name,
                coalesce(j.customer_name, c.customer_name) as customer,
                lower(a.during) as starts_at, upper(a.during) as ends_at
            from allocations a
            left join jobs j on a.subject_kind = 'job' and j.id = a.subject_id
            left join service_types s on s.code = j.service
            left join consultations c on c.merged_into is null
                and (a.subject_kind = 'appointment' and c.appointment = a.subject_id and c.assignee = a.resource_id
                    or a.subject_kind = 'consultation' and c.id = a.subject_id)
            left join consultation_types t on t.kind = c.kind
            where a.active and a.resource_id = \(resource.rawValue)
                and a.during && tstzrange(\(interval.start), \(interval.end))
                and a.subject_kind not in ('time_off', 'maintenance')
            order by a.during, id limit \(limit)
            """)
        return try rows.map { row in
            Problem.BookingInTheWay(
                kind: try row.decode("kind"), id: try row.decode("id"), name: try row.decode("name"),
                customer: try row.decode("customer"), startsAt: try row.decode("starts_at"),
                endsAt: try row.decode("ends_at"))
        }
    }
}
