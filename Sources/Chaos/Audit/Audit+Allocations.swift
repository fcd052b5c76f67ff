import Postgres

/// Nobody is booked twice, and everybody who should be is.
extension Audit {
    mutating func allocations(_ pool: PostgresPool) async throws {
        for row in try await pool.query(
            """
            select a.resource_id, a.subject_id, b.subject_id, (a.during * b.during)::text
            from allocations a join allocations b
                on a.id < b.id and a.resource_id = b.resource_id and a.during && b.during
            where a.active and b.active
            """)
        {
            let (resource, first, second, time) = try row.decode(
                String.self, String.self, String.self, String.self)
            violate("overlap: \(resource) is taken by \(first) and by \(second) during \(time)")
        }
        for row in try await pool.query(
            """
            select s.kind, s.id, s.needed, count(a.id) as found
            from (
                select 'appointment' as kind, p.id, coalesce(bool_or(c.assignment = 'assigned'), false)::int as needed
                from appointments p left join consultations c on c.appointment = p.id group by p.id
                union all select 'consultation', id, 1 from consultations
                    where assignment = 'assigned' and appointment is null
                union all select 'job', id, (state = 'scheduled')::int from jobs
            ) s left join allocations a on a.subject_kind = s.kind and a.subject_id = s.id and a.active
            group by 1, 2, 3 having count(a.id) <> s.needed
            """)
        {
            let (kind, id, needed, found) = try row.decode(String.self, String.self, Int.self, Int.self)
            violate("\(kind) \(id) holds \(found) allocations instead of \(needed)")
        }
        for row in try await pool.query(
            """
            select id, state, assignment from consultations where merged_into is null and not (
                (state = 'booked' and assignment in ('assigned', 'unassigned'))
                or (state = 'canceled' and assignment in ('released', 'pending', 'unassigned')))
            """)
        {
            let (id, state, assignment) = try row.decode(String.self, String.self, String.self)
            violate("stuck: consultation \(id) is \(state) and its assignment \(assignment)")
        }
        let active: Int = try await pool.query("select count(*) as count from allocations where active")[0]["count"]
        count("allocations", active)
    }
}
