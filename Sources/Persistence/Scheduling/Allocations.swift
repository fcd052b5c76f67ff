package import Domain
package import Postgres

/// What a resource can be taken for.
package enum Subject: Hashable, Sendable {
    /// By its id: what one consultation or all of a group event share.
    case appointment(String)
    case job(JobID)
    /// As programs took them that knew no appointments; nothing new is taken so.
    case consultation(ConsultationID)
    /// Time off or maintenance: nothing can be booked over it.
    case absence(AbsenceKind, AbsenceID)

    /// As in the column `subject_kind`.
    package var kind: String {
        switch self {
        case .appointment: "appointment"
        case .job: "job"
        case .consultation: "consultation"
        case .absence(let kind, _): kind.rawValue
        }
    }

    package var id: String {
        switch self {
        case .appointment(let id): id
        case .job(let id): id.rawValue
        case .consultation(let id): id.rawValue
        case .absence(_, let id): id.rawValue
        }
    }
}

/// Who or what is taken, and when.
///
/// The exclusion constraint `allocations_no_overlap` decides, for every writer. Everything that is read here before is
/// only a forecast of what it will say.
package enum Allocations {
    /// The constraint that makes double booking impossible.
    package static let overlapConstraint = "allocations_no_overlap"

    /// When the resources are taken within `window`, in order.
    ///
    /// - Parameter subject: its own allocations do not count, since it gives them up for the new ones.
    package static func busy(
        _ resources: [ResourceID], in window: Interval, except subject: Subject, in transaction: Transaction
    ) async throws -> [ResourceID: [Interval]] {
        let rows = try await transaction.query(
            """
            select a.resource_id, lower(a.during) as starts_at, upper(a.during) as ends_at
            from unnest(\(resources.map(\.rawValue))::text[]) as wanted (id)
            join allocations a on a.resource_id = wanted.id
            where a.active and a.during && tstzrange(\(window.start), \(window.end))
                and not (a.subject_kind = \(subject.kind) and a.subject_id = \(subject.id))
            order by a.resource_id, a.during
            """)
        var busy: [ResourceID: [Interval]] = [:]
        for row in rows {
            busy[try row.decodeRaw("resource_id"), default: []].append(
                Interval(start: try row.decode("starts_at"), end: try row.decode("ends_at")))
        }
        return busy
    }

    /// Takes a resource.
    ///
    /// - Throws: `PostgresError`; one with `isOverlap` if the resource is taken. Run it within a savepoint, because that
    ///   error leaves the transaction unusable.
    package static func insert(
        _ resource: ResourceID, during interval: Interval, for subject: Subject, in transaction: Transaction
    ) async throws {
        _ = try await transaction.query(
            """
            insert into allocations (resource_id, during, subject_kind, subject_id)
            values (\(resource.rawValue), tstzrange(\(interval.start), \(interval.end), '[)'),
                \(subject.kind), \(subject.id))
            """)
    }

    /// Gives up everything that the subjects hold.
    ///
    /// - Throws: `PostgresError`.
    package static func release(_ subjects: Subject..., in transaction: Transaction) async throws {
        _ = try await transaction.query(
            """
            update allocations a set active = false, released_at = now()
            from unnest(\(subjects.map(\.kind))::text[], \(subjects.map(\.id))::text[]) as gone (kind, id)
            where a.subject_kind = gone.kind and a.subject_id = gone.id and a.active
            """)
    }

    /// The resources that `subject` holds.
    package static func held(by subject: Subject, in transaction: Transaction) async throws -> Set<ResourceID> {
        let rows = try await transaction.query(
            """
            select resource_id from allocations
            where subject_kind = \(subject.kind) and subject_id = \(subject.id) and active
            """)
        return Set(try rows.map { try $0.decodeRaw("resource_id", as: ResourceID.self) })
    }
}

extension PostgresError {
    /// Whether an allocation was refused because its resource is taken at that time.
    package var isOverlap: Bool {
        sqlState == .exclusionViolation && constraint == Allocations.overlapConstraint
    }
}
