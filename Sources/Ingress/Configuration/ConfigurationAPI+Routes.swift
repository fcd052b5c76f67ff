import Domain
import HTTPTypes
import Messaging
import Persistence

extension ConfigurationAPI {
    /// A route that needs a permission.
    struct Entry: Sendable {
        var method: HTTPRequest.Method
        var template: String
        var permission: Permission
        var handler: Handler
    }

    /// Everything that can be configured, and how.
    var routes: [Entry] {
        let resources = [
            resourceRoutes(.crew, "crews"), resourceRoutes(.crewMember, "crew-members"),
            resourceRoutes(.estimator, "estimators"), resourceRoutes(.equipment, "equipment"),
        ]
        return resources.flatMap(\.self) + yardRoutes + serviceRoutes + consultationRoutes + calendarRoutes
            + absenceRoutes(.timeOff, "time-off") + absenceRoutes(.maintenance, "maintenance")
    }

    private func reads(_ template: String, _ handler: @escaping Handler) -> Entry {
        Entry(method: .get, template: template, permission: .readSchedule, handler: handler)
    }

    private func writes(_ method: HTTPRequest.Method, _ template: String, _ handler: @escaping Handler) -> Entry {
        Entry(method: method, template: template, permission: .changeResources, handler: handler)
    }

    private func resourceRoutes(_ kind: ResourceKind, _ name: String) -> [Entry] {
        let table = ResourceTable(kind)
        let path = "/v1/" + name
        return [
            reads(
                path,
                list(Self.filters(of: kind), filter: Self.filter) { filter, cursor, limit, transaction in
                    try await table.list(filter, after: cursor, limit: limit, in: transaction)
                }),
            writes(.post, path, create(table, at: path) { ResourceInput.new(kind, &$0, $1) }),
            reads(path + "/{id}", get(table)),
            writes(.patch, path + "/{id}", change(table) { ResourceInput.fill(&$0, &$1) }),
            writes(
                .delete, path + "/{id}",
                end(table) { table, key, expected, note, transaction in
                    try await table.change(key, expected: expected, as: .deactivated, note, in: transaction) {
                        $0.active = false
                    }
                }),
        ]
    }

    private static func filters(of kind: ResourceKind) -> Set<String> {
        switch kind {
        case .crew: ["active", "q", "skill", "yard"]
        case .crewMember: ["active", "crew", "q", "skill"]
        case .estimator: ["active", "q", "skill"]
        case .equipment: ["active", "equipment_type", "q", "status", "yard"]
        }
    }

    private static func filter(_ query: inout QueryParameters) -> ResourceTable.Filter {
        var filter = ResourceTable.Filter()
        filter.isActive = query.choice("active")
        filter.name = query.text("q")
        filter.skill = query.text("skill")
        filter.yard = query.id("yard", as: YardID.self)
        filter.crew = query.id("crew", as: ResourceID.self)
        filter.equipmentType = query.text("equipment_type")
        filter.statuses = query.words("status", as: EquipmentStatus.self)
        return filter
    }

    private var yardRoutes: [Entry] {
        let table = YardTable()
        return [
            reads(
                "/v1/yards",
                list(["active"], filter: { $0.choice("active") }) { isActive, cursor, limit, transaction in
                    try await table.list(isActive: isActive, after: cursor, limit: limit, in: transaction)
                }),
            writes(.post, "/v1/yards", create(table, at: "/v1/yards") { ResourceInput.newYard(&$0, $1) }),
            reads("/v1/yards/{id}", get(table)),
            writes(.patch, "/v1/yards/{id}", change(table) { ResourceInput.fill(&$0, &$1) }),
            writes(
                .delete, "/v1/yards/{id}",
                end(table) { table, key, expected, note, transaction in
                    try await table.change(key, expected: expected, as: .deactivated, note, in: transaction) {
                        $0.active = false
                    }
                }),
        ]
    }

    private var serviceRoutes: [Entry] {
        let table = ServiceTypeTable()
        let path = "/v1/service-types"
        return [
            reads(
                path,
                list(
                    ["active", "category"],
                    filter: {
                        (isActive: $0.choice("active"), categories: $0.words("category", as: ServiceCategory.self))
                    }
                ) { filter, cursor, limit, transaction in
                    try await table.list(
                        isActive: filter.isActive, categories: filter.categories, after: cursor, limit: limit,
                        in: transaction)
                }),
            writes(.post, path, create(table, at: path) { PolicyInput.newService(&$0, $1) }),
            reads(path + "/{code}", get(table)),
            writes(.patch, path + "/{code}", change(table) { PolicyInput.fill(&$0, &$1) }),
            writes(
                .delete, path + "/{code}",
                end(table) { table, key, expected, note, transaction in
                    try await table.change(key, expected: expected, as: .deactivated, note, in: transaction) {
                        $0.active = false
                    }
                }),
        ]
    }

    private var consultationRoutes: [Entry] {
        let table = ConsultationTypeTable()
        let path = "/v1/consultation-types"
        return [
            reads(path) { request, _ in
                try QueryParameters(request.query, names: []).finish()
                return try Self.list(try await store.read { try await table.list(in: $0) }, next: nil, request)
            },
            reads(path + "/{kind}", get(table)),
            writes(.patch, path + "/{kind}", change(table) { PolicyInput.fill(&$0, &$1) }),
        ]
    }

    private var calendarRoutes: [Entry] {
        let week = BusinessWeekTable()
        let holidays = HolidayTable()
        return [
            reads("/v1/business-hours", get(week, key: BusinessWeekTable.key)),
            writes(
                .put, "/v1/business-hours",
                change(week, key: BusinessWeekTable.key) { PolicyInput.fill(&$0, &$1) }),
            reads(
                "/v1/holidays",
                list(["from", "to"], filter: { (from: $0.day("from"), to: $0.day("to")) }) {
                    filter, cursor, limit, transaction in
                    try await holidays.list(
                        from: filter.from, to: filter.to, after: cursor, limit: limit, in: transaction)
                }),
            writes(.post, "/v1/holidays", create(holidays, at: "/v1/holidays") { PolicyInput.newHoliday(&$0, $1) }),
            reads("/v1/holidays/{day}", get(holidays)),
            writes(
                .delete, "/v1/holidays/{day}",
                end(holidays) { table, key, expected, note, transaction in
                    try await table.remove(key, expected: expected, note, in: transaction)
                }),
        ]
    }

    private func absenceRoutes(_ kind: AbsenceKind, _ name: String) -> [Entry] {
        let table = AbsenceTable(kind)
        let path = "/v1/" + name
        func absences(_ method: HTTPRequest.Method, _ template: String, _ handler: @escaping Handler) -> Entry {
            Entry(method: method, template: template, permission: .changeAbsences, handler: handler)
        }
        return [
            reads(path) { request, _ in
                var query = QueryParameters(
                    request.query, names: ["canceled", "cursor", "from", "limit", "resource", "to"])
                var filter = AbsenceTable.Filter()
                filter.resource = query.id("resource", as: ResourceID.self)
                filter.from = query.instant("from")
                filter.to = query.instant("to")
                filter.includesCanceled = query.flag("canceled")
                let limit = query.limit(1...200, default: 50)
                let cursor = query.cursor { text in
                    PageCursor(text: text).flatMap { AbsenceID(rawValue: $0.id) == nil ? nil : $0 }
                }
                try query.finish()
                let wanted = filter
                let page = try await store.read {
                    try await table.list(wanted, after: cursor, limit: limit, in: $0)
                }
                return try Self.list(page.items, next: page.next?.text, request)
            },
            absences(
                .post, path,
                create(table, at: path, read: PolicyInput.newAbsence) { table, new, note, transaction in
                    try await table.add(
                        new.resource, during: new.during, reason: note.reason ?? "", id: new.id, note, in: transaction)
                }),
            reads(path + "/{id}", get(table)),
            absences(
                .delete, path + "/{id}",
                end(table) { table, key, expected, note, transaction in
                    try await table.cancel(key, expected: expected, note, in: transaction)
                }),
        ]
    }
}
