package import Domain
package import Postgres

/// A crew, an estimator or a machine, as the scheduler needs to know it.
package struct Resource: Hashable, Sendable {
    package var assignee: Assignee
    package var kind: ResourceKind
    package var calendlyUser: String?
    package var equipmentType: String?
    package var skills: Set<String>

    package var id: ResourceID { assignee.id }
}

/// Reads and locks of resources.
package enum Resources {
    /// The active resources of a kind, and the active machines of some types.
    package static func active(
        _ kind: ResourceKind, equipmentTypes: [String], in transaction: Transaction
    ) async throws -> [Resource] {
        try await transaction.query(reading(kind, equipmentTypes: equipmentTypes)).map(Resource.init(row:))
    }

    /// The statement of `active`, for pipelines.
    static func reading(_ kind: ResourceKind, equipmentTypes: [String] = []) -> SQL {
        """
        select \(Resource.columns) from resources
        where active and (kind = \(kind.rawValue)
            or kind = 'equipment' and equipment_type = any(\(equipmentTypes)::text[]))
        order by id
        """
    }

    /// A resource, whether active or not.
    package static func find(_ id: ResourceID, in transaction: Transaction) async throws -> Resource? {
        let rows = try await transaction.query(
            "select \(Resource.columns) from resources where id = \(id.rawValue)")
        return try rows.first.map(Resource.init(row:))
    }

    /// Makes other schedulers wait for these resources until the transaction, or the savepoint around this, ends.
    ///
    /// All schedulers lock in the order of ids, so none of them waits for one that waits for it. It keeps the waits at the
    /// exclusion constraint short and its refusals rare; it is not what prevents double booking.
    /// - Returns: those that are still active.
    package static func lock(_ ids: some Sequence<ResourceID>, in transaction: Transaction) async throws -> Set<
        ResourceID
    > {
        try active(of: try await transaction.query(locking(ids)))
    }

    /// The statement of `lock`, for pipelines.
    static func locking(_ ids: some Sequence<ResourceID>) -> SQL {
        """
        select id, active from resources where id = any(\(ids.map(\.rawValue))::text[])
        order by id for no key update
        """
    }

    /// Those that `locking` found active.
    static func active(of rows: Rows) throws -> Set<ResourceID> {
        var active: Set<ResourceID> = []
        for row in rows where try row.decode("active", as: Bool.self) {
            active.insert(try row.decodeRaw("id"))
        }
        return active
    }
}

extension Resource {
    static let columns: SQL = "id, kind, name, email, calendly_user, equipment_type, skills"

    init(row: Row) throws {
        self.init(
            assignee: Assignee(
                id: try row.decodeRaw("id"), name: try row.decode("name"), email: try row.decode("email")),
            kind: try row.decodeRaw("kind"), calendlyUser: try row.decode("calendly_user"),
            equipmentType: try row.decode("equipment_type"),
            skills: Set(try row.decode("skills", as: [String].self)))
    }
}
