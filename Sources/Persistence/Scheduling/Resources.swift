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
        let rows = try await transaction.query(
            """
            select id, kind, name, email, calendly_user, equipment_type, skills from resources
            where active and (kind = \(kind.rawValue)
                or kind = 'equipment' and equipment_type = any(\(equipmentTypes)::text[]))
            order by id
            """)
        return try rows.map(decode)
    }

    /// A resource, whether active or not.
    package static func find(_ id: ResourceID, in transaction: Transaction) async throws -> Resource? {
        let rows = try await transaction.query(
            """
            select id, kind, name, email, calendly_user, equipment_type, skills from resources
            where id = \(id.rawValue)
            """)
        return try rows.first.map(decode)
    }

    /// Makes other schedulers wait for these resources until the transaction, or the savepoint around this, ends.
    ///
    /// All schedulers lock in the order of ids, so none of them waits for one that waits for it. It keeps the waits at the
    /// exclusion constraint short and its refusals rare; it is not what prevents double booking.
    /// - Returns: those that are still active.
    package static func lock(_ ids: some Sequence<ResourceID>, in transaction: Transaction) async throws -> Set<
        ResourceID
    > {
        let rows = try await transaction.query(
            """
            select id, active from resources where id = any(\(ids.map(\.rawValue))::text[])
            order by id for no key update
            """)
        var active: Set<ResourceID> = []
        for row in rows where try row.decode("active", as: Bool.self) {
            active.insert(try row.decodeRaw("id"))
        }
        return active
    }

    private static func decode(_ row: Row) throws -> Resource {
        Resource(
            assignee: Assignee(
                id: try row.decodeRaw("id"), name: try row.decode("name"), email: try row.decode("email")),
            kind: try row.decodeRaw("kind"), calendlyUser: try row.decode("calendly_user"),
            equipmentType: try row.decode("equipment_type"),
            skills: Set(try row.decode("skills", as: [String].self)))
    }
}
