/// What an API key may do, by the name of its role.
package enum Role: String, Codable, CaseIterable, Sendable {
    case admin, dispatcher, sales, office, ops, service
    case operationsManager = "operations_manager"
    case fieldSupervisor = "field_supervisor"

    /// The whole table of rights.
    package var permissions: Set<Permission> {
        switch self {
        case .admin, .operationsManager, .dispatcher, .service: [.readSchedule, .createJob, .changeJob]
        case .sales, .office: [.readSchedule, .createJob]
        case .fieldSupervisor, .ops: [.readSchedule]
        }
    }
}

/// Something that needs a right.
package enum Permission: String, CaseIterable, Sendable {
    case readSchedule = "read_schedule"
    case createJob = "create_job"
    case changeJob = "change_job"
}

/// Who sent a request.
struct Principal: Hashable, Sendable {
    /// The API key's id.
    var id: String
    /// The API key's name, for the change log.
    var name: String
    var role: Role
}
