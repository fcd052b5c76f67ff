package import Domain
package import Foundation
package import Postgres

/// A place where crews start and machines stand.
package struct Yard: ConfigurationRecord, Hashable {
    package var id: YardID
    package var name: String
    package var address: String?
    /// Degrees; both or neither.
    package var latitude: Double?
    package var longitude: Double?
    package var timeZone: String
    package var active: Bool
    package var version: Int
    package var createdAt: Date
    package var updatedAt: Date

    package var key: String { id.rawValue }

    package init(id: YardID, name: String, at instant: Date) {
        self.id = id
        self.name = name
        timeZone = "America/New_York"
        active = true
        version = 1
        createdAt = instant
        updatedAt = instant
    }
}

package struct YardTable: ConfigurationTable {
    package init() {}

    package var subjectKind: String { "yard" }
    package var noun: String { "yard" }
    package let violations: [String: Problem.FieldError] = [
        "yards_name_once": .init(pointer: "/name", code: "taken", detail: "is the name of another yard; change it")
    ]

    /// By name.
    ///
    /// - Parameter isActive: nil shows all.
    package func list(
        isActive: Bool?, after cursor: KeyCursor?, limit: Int, in transaction: Transaction
    ) async throws -> KeyPage<Yard> {
        var condition: SQL = "true"
        if let isActive { condition += " and active = \(isActive)" }
        if let cursor { condition += " and (name, id) > (\(cursor.sort), \(cursor.id))" }
        let rows = try await transaction.query(
            Self.select + " where " + condition + " order by name, id limit \(limit + 1)")
        return KeyPage(try rows.map(Self.decode), limit: limit) { KeyCursor(sort: $0.name, id: $0.key) }
    }

    package func find(_ key: String, isLocked: Bool, in transaction: Transaction) async throws -> Yard? {
        guard let id = YardID(rawValue: key) else { return nil }
        let rows = try await transaction.query(
            Self.select + " where id = \(id.rawValue)" + (isLocked ? " for no key update" : ""))
        return try rows.first.map(Self.decode)
    }

    package func insert(_ record: Yard, in transaction: Transaction) async throws {
        _ = try await transaction.query(
            """
            insert into yards
                (id, name, address, latitude, longitude, time_zone, active, version, created_at, updated_at)
            values
                (\(record.id.rawValue), \(record.name), \(record.address), \(record.latitude), \(record.longitude),
                 \(record.timeZone), \(record.active), \(record.version), \(record.createdAt), \(record.updatedAt))
            """)
    }

    package func update(_ record: Yard, in transaction: Transaction) async throws {
        _ = try await transaction.query(
            """
            update yards set
                name = \(record.name), address = \(record.address), latitude = \(record.latitude),
                longitude = \(record.longitude), time_zone = \(record.timeZone), active = \(record.active),
                version = \(record.version), updated_at = \(record.updatedAt)
            where id = \(record.id.rawValue)
            """)
    }

    private static let select: SQL =
        """
        select id, name, address, latitude, longitude, time_zone, active, version, created_at, updated_at from yards
        """

    private static func decode(_ row: Row) throws -> Yard {
        var yard = Yard(
            id: try row.decodeRaw("id"), name: try row.decode("name"), at: try row.decode("created_at"))
        yard.address = try row.decode("address")
        yard.latitude = try row.decode("latitude")
        yard.longitude = try row.decode("longitude")
        yard.timeZone = try row.decode("time_zone")
        yard.active = try row.decode("active")
        yard.version = try row.decode("version")
        yard.updatedAt = try row.decode("updated_at")
        return yard
    }
}
