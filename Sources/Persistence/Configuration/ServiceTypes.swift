package import Domain
package import Foundation
package import Postgres

/// A kind of job that the company offers, and what it takes.
package struct ServiceTypeRecord: ConfigurationRecord, Hashable {
    package var code: String
    package var name: String
    package var category: ServiceCategory
    package var durationMinutes: Int
    package var bufferBeforeMinutes: Int
    package var bufferAfterMinutes: Int
    /// The fewest people; nil if any crew will do.
    package var crewSize: Int?
    package var skills: [String]
    /// One machine of each.
    package var equipmentTypes: [String]
    /// Whether business hours do not count.
    package var anyHour: Bool
    /// From so long before its start, a job's time counts as fixed. It is told, not enforced.
    package var cutoffMinutes: Int
    package var active: Bool
    package var version: Int
    package var createdAt: Date
    package var updatedAt: Date

    package var key: String { code }

    package init(
        code: String, name: String, category: ServiceCategory, durationMinutes: Int, at instant: Date
    ) {
        self.code = code
        self.name = name
        self.category = category
        self.durationMinutes = durationMinutes
        bufferBeforeMinutes = 0
        bufferAfterMinutes = 0
        skills = []
        equipmentTypes = []
        anyHour = false
        cutoffMinutes = 2_880
        active = true
        version = 1
        createdAt = instant
        updatedAt = instant
    }
}

package struct ServiceTypeTable: ConfigurationTable {
    package init() {}

    package var subjectKind: String { "service_type" }
    package var noun: String { "service type" }
    package let violations: [String: Problem.FieldError] = [
        "service_types_key": .init(pointer: "/code", code: "taken", detail: "is the code of another service type")
    ]

    /// By code.
    ///
    /// - Parameters:
    ///   - isActive: nil shows all.
    ///   - categories: none shows all.
    package func list(
        isActive: Bool?, categories: Set<ServiceCategory>, after cursor: KeyCursor?, limit: Int,
        in transaction: Transaction
    ) async throws -> KeyPage<ServiceTypeRecord> {
        var condition: SQL = "true"
        if let isActive { condition += " and active = \(isActive)" }
        if !categories.isEmpty {
            condition += " and category = any(\(categories.map(\.rawValue).sorted())::text[])"
        }
        if let cursor { condition += " and code > \(cursor.id)" }
        let rows = try await transaction.query(
            Self.select + " where " + condition + " order by code limit \(limit + 1)")
        return KeyPage(try rows.map(Self.decode), limit: limit) { KeyCursor(sort: "", id: $0.code) }
    }

    package func find(
        _ key: String, isLocked: Bool, in transaction: Transaction
    ) async throws -> ServiceTypeRecord? {
        let rows = try await transaction.query(
            Self.select + " where code = \(key)" + (isLocked ? " for no key update" : ""))
        return try rows.first.map(Self.decode)
    }

    package func insert(_ record: ServiceTypeRecord, in transaction: Transaction) async throws {
        _ = try await transaction.query(
            """
            insert into service_types
                (code, name, category, duration_minutes, buffer_before_minutes, buffer_after_minutes, crew_size, skills,
                 equipment_types, any_hour, cutoff_minutes, active, version, created_at, updated_at)
            values
                (\(record.code), \(record.name), \(record.category.rawValue), \(record.durationMinutes),
                 \(record.bufferBeforeMinutes), \(record.bufferAfterMinutes), \(record.crewSize),
                 \(record.skills)::text[], \(record.equipmentTypes)::text[], \(record.anyHour),
                 \(record.cutoffMinutes), \(record.active), \(record.version), \(record.createdAt),
                 \(record.updatedAt))
            """)
    }

    package func update(_ record: ServiceTypeRecord, in transaction: Transaction) async throws {
        _ = try await transaction.query(
            """
            update service_types set
                name = \(record.name), category = \(record.category.rawValue),
                duration_minutes = \(record.durationMinutes), buffer_before_minutes = \(record.bufferBeforeMinutes),
                buffer_after_minutes = \(record.bufferAfterMinutes), crew_size = \(record.crewSize),
                skills = \(record.skills)::text[], equipment_types = \(record.equipmentTypes)::text[],
                any_hour = \(record.anyHour), cutoff_minutes = \(record.cutoffMinutes), active = \(record.active),
                version = \(record.version), updated_at = \(record.updatedAt)
            where code = \(record.code)
            """)
    }

    private static let select: SQL =
        """
        select code, name, category, duration_minutes, buffer_before_minutes, buffer_after_minutes, crew_size, skills,
            equipment_types, any_hour, cutoff_minutes, active, version, created_at, updated_at
        from service_types
        """

    private static func decode(_ row: Row) throws -> ServiceTypeRecord {
        var record = ServiceTypeRecord(
            code: try row.decode("code"), name: try row.decode("name"), category: try row.decodeRaw("category"),
            durationMinutes: try row.decode("duration_minutes"), at: try row.decode("created_at"))
        record.bufferBeforeMinutes = try row.decode("buffer_before_minutes")
        record.bufferAfterMinutes = try row.decode("buffer_after_minutes")
        record.crewSize = try row.decode("crew_size")
        record.skills = try row.decode("skills", as: [String].self)
        record.equipmentTypes = try row.decode("equipment_types", as: [String].self)
        record.anyHour = try row.decode("any_hour")
        record.cutoffMinutes = try row.decode("cutoff_minutes")
        record.active = try row.decode("active")
        record.version = try row.decode("version")
        record.updatedAt = try row.decode("updated_at")
        return record
    }
}
