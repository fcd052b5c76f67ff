package import Domain
package import Postgres

/// A crew, an estimator or a machine, as the scheduler needs to know it.
package struct Resource: Hashable, Sendable {
    package var assignee: Assignee
    package var kind: ResourceKind
    package var calendlyUser: String?
    package var equipmentType: String?
    package var status: EquipmentStatus
    package var abilities: Abilities
    package var shifts: Shifts

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

    /// The active people of some crews, by crew and in the order of names.
    package static func members(
        of crews: [ResourceID], in transaction: Transaction
    ) async throws -> [ResourceID: [Resource]] {
        let rows = try await transaction.query(
            """
            select \(Resource.columns), crew from resources
            where active and kind = 'crew_member' and crew = any(\(crews.map(\.rawValue))::text[])
            order by crew, name
            """)
        var members: [ResourceID: [Resource]] = [:]
        for row in rows { members[try row.decodeRaw("crew"), default: []].append(try Resource(row: row)) }
        return members
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
    /// - Returns: those that are still active, and available if they are machines.
    package static func lock(_ ids: some Sequence<ResourceID>, in transaction: Transaction) async throws -> Set<
        ResourceID
    > {
        try active(of: try await transaction.query(locking(ids)))
    }

    /// The statement of `lock`, for pipelines.
    static func locking(_ ids: some Sequence<ResourceID>) -> SQL {
        """
        select id, active and status = 'available' as active from resources where id = any(\(ids.map(\.rawValue))::text[])
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
    static let columns: SQL =
        """
        id, kind, name, email, calendly_user, equipment_type, skills, status, certifications::text as certifications, \
        shifts::text as shifts, time_zone
        """

    init(row: Row) throws {
        let zone = try row.decode("time_zone", as: String.self)
        guard let clock = SiteClock(identifier: zone) else {
            throw PostgresError(.decodingFailed, "resources.time_zone is not an IANA name; correct the row")
        }
        self.init(
            assignee: Assignee(
                id: try row.decodeRaw("id"), name: try row.decode("name"), email: try row.decode("email")),
            kind: try row.decodeRaw("kind"), calendlyUser: try row.decode("calendly_user"),
            equipmentType: try row.decode("equipment_type"), status: try row.decodeRaw("status"),
            abilities: Abilities(
                skills: Set(try row.decode("skills", as: [String].self)),
                certifications: try row.decodeList("certifications"), clock: clock),
            shifts: Shifts(clock: clock, shifts: try row.decodeList("shifts")))
    }
}

extension Row {
    /// Most lists of a resource are empty, and a decoder for each would cost more than all else of the row.
    fileprivate func decodeList<Element: Decodable>(_ column: String) throws -> [Element] {
        try decode(column, as: String.self) == "[]" ? [] : decodeJSON(column)
    }
}
