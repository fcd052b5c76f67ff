package import Domain
import Foundation
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

    /// A resource that a subject wants for a time.
    package struct Claim: Hashable, Sendable {
        package var resource: ResourceID
        package var during: Interval
        package var subject: Subject

        package init(resource: ResourceID, during: Interval, subject: Subject) {
            self.resource = resource
            self.during = during
            self.subject = subject
        }
    }

    /// The claims that cannot be had, by their places: the resource is taken at some of the time.
    ///
    /// - Parameter isLocking: also makes other schedulers wait for the resources, and looks once they are had; a resource
    ///   that is no longer active counts as taken.
    /// - Throws: `PostgresError`.
    package static func taken(
        _ claims: [Claim], isLocking: Bool = false, in transaction: Transaction
    ) async throws -> Set<Int> {
        // Each claim looks into the index by itself; a join would be free to read the whole table instead.
        let query: SQL = """
            select claim.place - 1 as place from \(rows(claims))
            cross join lateral (
                select from allocations a
                where a.active and a.resource_id = claim.resource
                    and a.during && tstzrange(claim.starts_at, claim.ends_at)
                limit 1
            ) as found
            """
        guard isLocking else {
            return Set(try await transaction.query(query).map { try $0.decode("place", as: Int.self) })
        }
        let answers = try await transaction.pipeline([
            Resources.locking(Set(claims.map(\.resource))), query,
        ])
        let active = try Resources.active(of: answers[0])
        return Set(try answers[1].map { try $0.decode("place", as: Int.self) })
            .union(claims.indices.filter { !active.contains(claims[$0].resource) })
    }

    /// Takes resources.
    ///
    /// - Throws: `PostgresError`; one with `isOverlap` if a resource is taken. Run it within a savepoint, because that
    ///   error leaves the transaction unusable.
    package static func insert(_ claims: [Claim], in transaction: Transaction) async throws {
        _ = try await transaction.query(
            """
            insert into allocations (resource_id, during, subject_kind, subject_id)
            select resource, tstzrange(starts_at, ends_at, '[)'), kind, subject from \(rows(claims))
            order by resource, starts_at
            """)
    }

    private static func rows(_ claims: [Claim]) -> SQL {
        """
        (
            select place, resource, 'epoch'::timestamptz + starts * interval '1 microsecond' as starts_at,
                'epoch'::timestamptz + ends * interval '1 microsecond' as ends_at, kind, subject
            from unnest(\(claims.map(\.resource.rawValue))::text[], \(claims.map { $0.during.start.microseconds }),
                \(claims.map { $0.during.end.microseconds }), \(claims.map(\.subject.kind))::text[],
                \(claims.map(\.subject.id))::text[]) with ordinality as one (resource, starts, ends, kind, subject, place)
        ) as claim
        """
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

    /// Gives up everything that the subjects hold, with the next statement or the commit.
    ///
    /// - Throws: `PostgresError`.
    package static func release(_ subjects: [Subject], in transaction: Transaction) async throws {
        try await transaction.enqueue(
            """
            update allocations a set active = false, released_at = now()
            from unnest(\(subjects.map(\.kind))::text[], \(subjects.map(\.id))::text[]) as gone (kind, id)
            where a.subject_kind = gone.kind and a.subject_id = gone.id and a.active
            """)
    }

    /// Gives up everything that a subject holds, with the next statement or the commit.
    ///
    /// - Throws: `PostgresError`.
    package static func release(_ subject: Subject, in transaction: Transaction) async throws {
        try await release([subject], in: transaction)
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

extension Date {
    /// Since 1970, as exactly as the server keeps it.
    fileprivate var microseconds: Int {
        // Far outside what the server can hold, and it says so.
        Int(min(max((timeIntervalSince1970 * 1e6).rounded(), -9e18), 9e18))
    }
}

extension PostgresError {
    /// Whether an allocation was refused because its resource is taken at that time.
    package var isOverlap: Bool {
        sqlState == .exclusionViolation && constraint == Allocations.overlapConstraint
    }
}
