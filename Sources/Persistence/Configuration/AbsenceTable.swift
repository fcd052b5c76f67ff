package import Domain
package import Foundation
package import Postgres

/// A time off of somebody, or a maintenance window of a machine.
package struct Absence: ConfigurationRecord, Hashable {
    package var id: AbsenceID
    package var kind: AbsenceKind
    package var resource: ResourceName
    package var startsAt: Date
    package var endsAt: Date
    package var reason: String
    /// Set when it was taken back; it stays on record.
    package var canceledAt: Date?
    package var version: Int
    package var createdAt: Date
    package var updatedAt: Date

    package var key: String { id.rawValue }

    package init(
        id: AbsenceID, kind: AbsenceKind, resource: ResourceName, startsAt: Date, endsAt: Date, reason: String,
        at instant: Date
    ) {
        self.id = id
        self.kind = kind
        self.resource = resource
        self.startsAt = startsAt
        self.endsAt = endsAt
        self.reason = reason
        version = 1
        createdAt = instant
        updatedAt = instant
    }
}

/// Absences of one kind. Each active one is an allocation too, so that the exclusion constraint keeps bookings out.
package struct AbsenceTable: ConfigurationTable {
    package let kind: AbsenceKind

    package init(_ kind: AbsenceKind) {
        self.kind = kind
    }

    package var subjectKind: String { kind.rawValue }
    package var noun: String { kind == .timeOff ? "time off" : "maintenance window" }
    package let violations: [String: Problem.FieldError] = [:]

    /// Adds an absence, unless something holds the resource then.
    ///
    /// - Throws: `Problem`: 409 with every booking in the way, 422 if the resource is of another kind or already away.
    package func add(
        _ resource: ResourceID, during interval: Interval, reason: String, id: AbsenceID, _ note: ChangeNote,
        in transaction: Transaction
    ) async throws -> Absence {
        // Schedulers that want the resource wait here, so what is seen now is all there is, but for writers without locks.
        _ = try await Resources.lock([resource], in: transaction)
        guard let found = try await Resources.find(resource, in: transaction),
            (found.kind == .equipment) == (kind == .maintenance)
        else {
            let wanted = kind == .maintenance ? "piece of equipment" : "crew, crew member or estimator"
            throw Problem.validation([
                .init(pointer: "/resource", code: "unknown_resource", detail: "there is no \(wanted) with this id")
            ])
        }
        try await refuseIfBooked(found, during: interval, in: transaction)
        let absence = Absence(
            id: id, kind: kind, resource: ResourceName(id: resource, name: found.assignee.name),
            startsAt: interval.start, endsAt: interval.end, reason: reason, at: note.at)
        do {
            return try await transaction.savepoint { savepoint in
                try await create(absence, note, in: savepoint)
            }
        } catch let error as PostgresError where error.isOverlap {
            // A writer that does not lock was faster; it has committed, so now it is seen.
            try await refuseIfBooked(found, during: interval, in: transaction)
            throw error
        }
    }

    /// Takes an absence back; the resource can be booked again.
    package func cancel(
        _ key: String, expected: Int?, _ note: ChangeNote, in transaction: Transaction
    ) async throws -> Absence {
        try await change(key, expected: expected, as: .canceled, note, in: transaction) { absence in
            guard absence.canceledAt == nil else {
                throw Problem.illegalTransition("The \(noun) has been canceled already.")
            }
            absence.canceledAt = note.at
        }
    }

    private func refuseIfBooked(
        _ resource: Resource, during interval: Interval, in transaction: Transaction
    ) async throws {
        let clock = resource.shifts.clock
        let away = try await Absences.during(interval, of: [resource.id], in: transaction)[resource.id] ?? []
        if let first = away.first {
            throw Problem.validation([
                .init(
                    pointer: "/starts_at", code: "already_away",
                    detail:
                        "\(resource.assignee.name) is away \(clock.text(first.during)) (\(first.reason)); cancel that "
                        + "first, or choose a time beside it")
            ])
        }
        let bookings = try await Absences.bookings(of: resource.id, during: interval, in: transaction)
        guard !bookings.isEmpty else { return }
        let name = resource.assignee.name
        throw Problem.scheduleConflict(
            detail:
                "\(name) has \(bookings.count == 1 ? "a booking" : "\(bookings.count) bookings") then. Move or cancel "
                + "what is listed, or choose another time, and send the request again.",
            conflicts: bookings.map { booking in
                let taken = clock.text(Interval(start: booking.startsAt, end: booking.endsAt))
                let customer = booking.customer.map { " for \($0)" } ?? ""
                return Problem.Conflict(
                    resource: resource.id, resourceName: name,
                    reason: "\(name) has \(booking.name)\(customer) \(taken)", booking: booking)
            },
            alternatives: [])
    }

    /// Which absences a list shows; what is nil does not matter.
    package struct Filter: Hashable, Sendable {
        package var resource: ResourceID?
        /// Ends after this instant.
        package var from: Date?
        /// Starts before this instant.
        package var to: Date?
        package var includesCanceled = false

        package init() {}
    }

    /// By start.
    package func list(
        _ filter: Filter, after cursor: PageCursor?, limit: Int, in transaction: Transaction
    ) async throws -> Page<Absence> {
        var condition: SQL = "b.kind = \(kind.rawValue)"
        if let resource = filter.resource { condition += " and b.resource = \(resource.rawValue)" }
        if let from = filter.from { condition += " and b.ends_at > \(from)" }
        if let to = filter.to { condition += " and b.starts_at < \(to)" }
        if !filter.includesCanceled { condition += " and b.canceled_at is null" }
        if let cursor { condition += " and (b.starts_at, b.id) > (\(cursor.startsAt), \(cursor.id))" }
        let rows = try await transaction.query(
            Self.select + " where " + condition + " order by b.starts_at, b.id limit \(limit + 1)")
        let items = try rows.map(Self.decode)
        let last = items.count > limit ? items[limit - 1] : nil
        return Page(
            items: Array(items.prefix(limit)), next: last.map { PageCursor(startsAt: $0.startsAt, id: $0.key) })
    }

    package func find(_ key: String, isLocked: Bool, in transaction: Transaction) async throws -> Absence? {
        guard let id = AbsenceID(rawValue: key) else { return nil }
        let rows = try await transaction.query(
            Self.select + " where b.id = \(id.rawValue) and b.kind = \(kind.rawValue)"
                + (isLocked ? " for no key update of b" : ""))
        return try rows.first.map(Self.decode)
    }

    package func insert(_ record: Absence, in transaction: Transaction) async throws {
        _ = try await transaction.query(
            """
            insert into absences
                (id, kind, resource, starts_at, ends_at, reason, canceled_at, version, created_at, updated_at)
            values
                (\(record.id.rawValue), \(kind.rawValue), \(record.resource.id.rawValue), \(record.startsAt),
                 \(record.endsAt), \(record.reason), \(record.canceledAt), \(record.version), \(record.createdAt),
                 \(record.updatedAt))
            """)
        try await Allocations.insert(
            record.resource.id, during: Interval(start: record.startsAt, end: record.endsAt),
            for: .absence(kind, record.id), in: transaction)
    }

    package func update(_ record: Absence, in transaction: Transaction) async throws {
        _ = try await transaction.query(
            """
            update absences set
                canceled_at = \(record.canceledAt), version = \(record.version), updated_at = \(record.updatedAt)
            where id = \(record.id.rawValue)
            """)
        if record.canceledAt != nil {
            try await Allocations.release(.absence(kind, record.id), in: transaction)
        }
    }

    private static let select: SQL =
        """
        select b.id, b.kind, b.resource, r.name as resource_name, b.starts_at, b.ends_at, b.reason, b.canceled_at,
            b.version, b.created_at, b.updated_at
        from absences b join resources r on r.id = b.resource
        """

    private static func decode(_ row: Row) throws -> Absence {
        var absence = Absence(
            id: try row.decodeRaw("id"), kind: try row.decodeRaw("kind"),
            resource: ResourceName(id: try row.decodeRaw("resource"), name: try row.decode("resource_name")),
            startsAt: try row.decode("starts_at"), endsAt: try row.decode("ends_at"),
            reason: try row.decode("reason"), at: try row.decode("created_at"))
        absence.canceledAt = try row.decode("canceled_at")
        absence.version = try row.decode("version")
        absence.updatedAt = try row.decode("updated_at")
        return absence
    }
}
