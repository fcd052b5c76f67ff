package import Domain
import Messaging
package import Postgres

/// The resources of one kind.
package struct ResourceTable: ConfigurationTable {
    package let kind: ResourceKind

    package init(_ kind: ResourceKind) {
        self.kind = kind
    }

    package var subjectKind: String { kind.rawValue }
    package var noun: String { kind.words }

    package let violations: [String: Problem.FieldError] = [
        "resources_name_once": .init(pointer: "/name", code: "taken", detail: "is the name of another one; change it"),
        "resources_calendly_user_once": .init(
            pointer: "/calendly_user", code: "taken", detail: "is the user of another estimator"),
        "resources_yard_exists": .init(pointer: "/yard", code: "unknown_yard", detail: "there is no yard with this id"),
    ]

    /// Which of them a list shows; what is nil does not matter.
    package struct Filter: Hashable, Sendable {
        package var isActive: Bool?
        package var yard: YardID?
        package var crew: ResourceID?
        package var skill: String?
        /// None shows all.
        package var statuses: Set<EquipmentStatus> = []
        package var equipmentType: String?
        /// Part of the name, in any case.
        package var name: String?

        package init() {}
    }

    /// By name.
    package func list(
        _ filter: Filter, after cursor: KeyCursor?, limit: Int, in transaction: Transaction
    ) async throws -> KeyPage<ResourceRecord> {
        var condition: SQL = "r.kind = \(kind.rawValue)"
        if let isActive = filter.isActive { condition += " and r.active = \(isActive)" }
        if let yard = filter.yard { condition += " and r.yard = \(yard.rawValue)" }
        if let crew = filter.crew { condition += " and r.crew = \(crew.rawValue)" }
        if let skill = filter.skill { condition += " and \(skill)::text = any(r.skills)" }
        if !filter.statuses.isEmpty {
            condition += " and r.status = any(\(filter.statuses.map(\.rawValue).sorted())::text[])"
        }
        if let type = filter.equipmentType { condition += " and r.equipment_type = \(type)" }
        if let name = filter.name { condition += " and strpos(lower(r.name), lower(\(name)::text)) > 0" }
        if let cursor { condition += " and (r.name, r.id) > (\(cursor.sort), \(cursor.id))" }
        let rows = try await transaction.query(
            Self.select + " where " + condition + " order by r.name, r.id limit \(limit + 1)")
        return KeyPage(try rows.map(Self.decode), limit: limit) { KeyCursor(sort: $0.name, id: $0.key) }
    }

    package func find(
        _ key: String, isLocked: Bool, in transaction: Transaction
    ) async throws -> ResourceRecord? {
        guard let id = ResourceID(rawValue: key) else { return nil }
        let rows = try await transaction.query(
            Self.select + " where r.id = \(id.rawValue) and r.kind = \(kind.rawValue)"
                + (isLocked ? " for no key update of r" : ""))
        return try rows.first.map(Self.decode)
    }

    package func insert(_ record: ResourceRecord, in transaction: Transaction) async throws {
        try await checkCrew(of: record, in: transaction)
        _ = try await transaction.query(
            """
            insert into resources
                (id, kind, name, email, phone, calendly_user, equipment_type, status, yard, crew, role, skills,
                 certifications, shifts, time_zone, active, version, created_at, updated_at)
            values
                (\(record.id.rawValue), \(kind.rawValue), \(record.name), \(record.email), \(record.phone),
                 \(record.calendlyUser), \(record.equipmentType), \((record.status ?? .available).rawValue),
                 \(record.yard?.rawValue), \(record.crew?.rawValue), \(record.role), \(record.skills ?? [])::text[],
                 \(try JSONText(wire: record.certifications ?? [])), \(try JSONText(wire: record.shifts ?? [])),
                 \(record.timeZone), \(record.active), \(record.version), \(record.createdAt), \(record.updatedAt))
            """)
    }

    package func update(_ record: ResourceRecord, in transaction: Transaction) async throws {
        try await checkCrew(of: record, in: transaction)
        _ = try await transaction.query(
            """
            update resources set
                name = \(record.name), email = \(record.email), phone = \(record.phone),
                calendly_user = \(record.calendlyUser), equipment_type = \(record.equipmentType),
                status = \((record.status ?? .available).rawValue), yard = \(record.yard?.rawValue),
                crew = \(record.crew?.rawValue), role = \(record.role), skills = \(record.skills ?? [])::text[],
                certifications = \(try JSONText(wire: record.certifications ?? [])),
                shifts = \(try JSONText(wire: record.shifts ?? [])), time_zone = \(record.timeZone),
                active = \(record.active), version = \(record.version), updated_at = \(record.updatedAt)
            where id = \(record.id.rawValue)
            """)
    }

    /// A foreign key cannot say of what kind a resource is.
    private func checkCrew(of record: ResourceRecord, in transaction: Transaction) async throws {
        guard let crew = record.crew else { return }
        guard try await ResourceTable(.crew).find(crew.rawValue, isLocked: false, in: transaction) != nil else {
            throw Problem.validation([
                .init(pointer: "/crew", code: "unknown_crew", detail: "there is no crew with this id")
            ])
        }
    }

    private static let select: SQL =
        """
        select r.id, r.kind, r.name, r.email, r.phone, r.calendly_user, r.equipment_type, r.status, r.yard, r.crew,
            r.role, r.skills, r.certifications::text as certifications, r.shifts::text as shifts, r.time_zone, r.active,
            r.version, r.created_at, r.updated_at,
            coalesce((select jsonb_agg(jsonb_build_object('id', m.id, 'name', m.name) order by m.name)
                from resources m where m.crew = r.id and m.active), '[]')::text as members
        from resources r
        """

    private static func decode(_ row: Row) throws -> ResourceRecord {
        let kind = try row.decodeRaw("kind", as: ResourceKind.self)
        var record = ResourceRecord(
            id: try row.decodeRaw("id"), kind: kind, name: try row.decode("name"), at: try row.decode("created_at"))
        record.email = try row.decode("email")
        record.phone = try row.decode("phone")
        record.calendlyUser = try row.decode("calendly_user")
        record.equipmentType = try row.decode("equipment_type")
        record.yard = try row.decodeRawIfPresent("yard")
        record.crew = try row.decodeRawIfPresent("crew")
        record.role = try row.decode("role")
        if kind == .equipment {
            record.status = try row.decodeRaw("status")
        } else {
            record.skills = try row.decode("skills", as: [String].self)
            record.certifications = try row.decodeJSON("certifications")
            record.shifts = try row.decodeJSON("shifts")
        }
        if kind == .crew { record.members = try row.decodeJSON("members") }
        record.timeZone = try row.decode("time_zone")
        record.active = try row.decode("active")
        record.version = try row.decode("version")
        record.updatedAt = try row.decode("updated_at")
        return record
    }
}
