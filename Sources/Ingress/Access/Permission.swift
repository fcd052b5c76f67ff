package import Persistence

/// Something that needs a right. Every route that is not open to all asks for exactly one.
package enum Permission: String, CaseIterable, Sendable {
    /// One's own sessions and password, and who one is.
    case ownAccount = "own_account"
    case readSchedule = "read_schedule"
    case createJob = "create_job"
    /// Move and cancel jobs.
    case changeJob = "change_job"
    /// Crews, machines, yards, services, calendars: what the company is made of and how it works.
    case changeResources = "change_resources"
    /// Time off and maintenance.
    case changeAbsences = "change_absences"
    case readLetters = "read_letters"
    case changeLetters = "change_letters"
    /// Make and steer campaigns that send dead letters again.
    case replayLetters = "replay_letters"
    /// Users, API keys, and the record of access.
    case readAccess = "read_access"
    case changeAccess = "change_access"
}

/// The whole table of rights, for users and API keys alike.
package enum AccessMatrix {
    private static let columns: [AccessRole] = [
        .admin, .operationsManager, .dispatcher, .sales, .fieldSupervisor, .office, .ops, .service,
    ]

    // swift-format-ignore
    private static func row(_ permission: Permission) -> String {
        switch permission {
        //                   admin
        //                   |  operations_manager
        //                   |  |  dispatcher
        //                   |  |  |  sales
        //                   |  |  |  |  field_supervisor
        //                   |  |  |  |  |  office
        //                   |  |  |  |  |  |  ops
        //                   |  |  |  |  |  |  |  service
        case .ownAccount:    "Y  Y  Y  Y  Y  Y  Y  Y"
        case .readSchedule:  "Y  Y  Y  Y  Y  Y  Y  Y"
        case .createJob:     "Y  Y  Y  Y  -  Y  -  Y"
        case .changeJob:     "Y  Y  Y  -  -  -  -  Y"
        case .changeResources: "Y  Y  -  -  -  -  -  -"
        case .changeAbsences: "Y  Y  Y  -  -  -  -  -"
        case .readLetters:   "Y  Y  Y  -  -  -  Y  -"
        case .changeLetters: "Y  -  -  -  -  -  Y  -"
        case .replayLetters: "Y  -  -  -  -  -  Y  -"
        case .readAccess:    "Y  -  -  -  -  -  Y  -"
        case .changeAccess:  "Y  -  -  -  -  -  -  -"
        }
    }

    private static let granted: [AccessRole: Set<Permission>] = {
        var granted: [AccessRole: Set<Permission>] = [:]
        for permission in Permission.allCases {
            let cells = row(permission).split(separator: " ")
            precondition(cells.count == columns.count, "the row of \(permission) has a cell for each role")
            for (role, cell) in zip(columns, cells) where cell == "Y" { granted[role, default: []].insert(permission) }
        }
        return granted
    }()

    /// Everything that a role may do.
    package static func permissions(of role: AccessRole) -> Set<Permission> { granted[role] ?? [] }
}
