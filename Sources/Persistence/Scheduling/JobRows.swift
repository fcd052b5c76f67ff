package import Domain
package import Foundation
package import Postgres

/// The columns of a job that change when it is scheduled.
package struct JobSchedule: Hashable, Sendable {
    package var state: JobState
    package var work: Interval
    package var crew: ResourceID?
    package var cancelReason: String?

    package init(state: JobState, work: Interval, crew: ResourceID?, cancelReason: String? = nil) {
        self.state = state
        self.work = work
        self.crew = crew
        self.cancelReason = cancelReason
    }
}

/// A job, and the sequence that its views do not show.
package struct JobRecord: Hashable, Sendable {
    package var view: JobView
    /// Goes up with each change that people are told of.
    package var sequence: Int
    /// Who has it now, with the address to write to.
    package var crew: Assignee?
}

/// Jobs within a transaction of the scheduler.
package enum JobRows {
    /// Reads a job and keeps others from changing it until the transaction ends.
    package static func lock(_ id: JobID, in transaction: Transaction) async throws -> JobRecord? {
        // The lock comes first: a statement that locks and joins could show the other tables as they were before.
        let locked = try await transaction.query("select id from jobs where id = \(id.rawValue) for no key update")
        return locked.isEmpty ? nil : try await find(id, in: transaction)
    }

    /// Reads a job as the transaction sees it.
    package static func find(_ id: JobID, in transaction: Transaction) async throws -> JobRecord? {
        try await transaction.query(view(where: "j.id = \(id.rawValue)")).first.map { row in
            let view = try decodeView(row)
            return JobRecord(
                view: view, sequence: try row.decode("sequence"),
                crew: try view.crew.map { Assignee(id: $0.id, name: $0.name, email: try row.decode("crew_email")) })
        }
    }

    /// The next number, such as `J-2027-00042`. Numbers are not reused, and a request that fails leaves a gap.
    package static func nextNumber(year: Int, in transaction: Transaction) async throws -> String {
        let rows = try await transaction.query("select nextval('job_numbers') as number")
        guard let row = rows.first else { throw PostgresError(.decodingFailed, "the sequence gave no number") }
        let digits = String(try row.decode("number", as: Int.self))
        return "J-\(year)-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }

    package static func insert(
        _ id: JobID, number: String, request: JobRequest, schedule: JobSchedule, at now: Date,
        in transaction: Transaction
    ) async throws {
        _ = try await transaction.query(
            """
            insert into jobs (id, number, state, service, priority, customer_name, customer_email, customer_phone,
                address, time_zone, starts_at, ends_at, crew, notes, created_at, updated_at)
            values (\(id.rawValue), \(number), \(schedule.state.rawValue), \(request.service),
                \(request.priority.rawValue), \(request.customer.name), \(request.customer.email),
                \(request.customer.phone), \(request.site.address), \(request.site.timeZone), \(schedule.work.start),
                \(schedule.work.end), \(schedule.crew?.rawValue), \(request.notes), \(now), \(now))
            """)
    }

    /// Writes a new schedule of a locked job; sequence and version go up.
    package static func update(
        _ id: JobID, schedule: JobSchedule, at now: Date, in transaction: Transaction
    ) async throws {
        _ = try await transaction.query(
            """
            update jobs set state = \(schedule.state.rawValue), starts_at = \(schedule.work.start),
                ends_at = \(schedule.work.end), crew = \(schedule.crew?.rawValue),
                cancel_reason = \(schedule.cancelReason), sequence = sequence + 1, version = version + 1,
                updated_at = \(now)
            where id = \(id.rawValue)
            """)
    }

    static func view(where condition: SQL) -> SQL {
        """
        select j.id, j.number, j.state, j.sequence, j.version, j.service, j.priority, j.customer_name,
            j.customer_email, j.customer_phone, j.address, j.time_zone, j.starts_at, j.ends_at, j.crew, j.notes,
            j.cancel_reason, j.created_at, j.updated_at, crew.name as crew_name, crew.email as crew_email,
            coalesce((
                select jsonb_agg(jsonb_build_object('id', machine.id, 'name', machine.name) order by machine.name)
                from allocations a join resources machine on machine.id = a.resource_id
                where a.subject_kind = 'job' and a.subject_id = j.id and a.active and machine.kind = 'equipment'
            ), '[]') as equipment
        from jobs j left join resources crew on crew.id = j.crew
        where \(condition)
        """
    }

    static func decodeView(_ row: Row) throws -> JobView {
        let crewID = try row.decodeRawIfPresent("crew", as: ResourceID.self)
        let timeZone = try row.decode("time_zone", as: String.self)
        return JobView(
            id: try row.decodeRaw("id"), number: try row.decode("number"), state: try row.decodeRaw("state"),
            version: try row.decode("version"), service: try row.decode("service"),
            priority: try row.decodeRaw("priority"),
            customer: try Person(row: row),
            site: JobRequest.Site(address: try row.decode("address"), timeZone: timeZone),
            startsAt: try row.decode("starts_at"), endsAt: try row.decode("ends_at"), timeZone: timeZone,
            crew: try crewID.map { ResourceName(id: $0, name: try row.decode("crew_name")) },
            equipment: try row.decodeJSON("equipment"),
            notes: try row.decode("notes"), cancelReason: try row.decode("cancel_reason"),
            createdAt: try row.decode("created_at"), updatedAt: try row.decode("updated_at"))
    }
}
