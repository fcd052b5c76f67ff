package import Persistence

/// Something that needs a right.
package enum Permission: String, CaseIterable, Sendable {
    case readSchedule = "read_schedule"
    case createJob = "create_job"
    case changeJob = "change_job"
    /// Crews, machines, yards, services, calendars: what the company is made of and how it works.
    case changeResources = "change_resources"
    /// Time off and maintenance.
    case changeAbsences = "change_absences"
    case readLetters = "read_letters"
    case changeLetters = "change_letters"
    /// Campaigns that send dead letters again.
    case replayLetters = "replay_letters"
}

extension ApiKeyRole {
    /// The whole table of rights.
    package var permissions: Set<Permission> {
        switch self {
        case .admin: Set(Permission.allCases)
        case .operationsManager: [.readSchedule, .createJob, .changeJob, .changeResources, .changeAbsences]
        case .dispatcher: [.readSchedule, .createJob, .changeJob, .changeAbsences]
        case .service: [.readSchedule, .createJob, .changeJob]
        case .sales, .office: [.readSchedule, .createJob]
        case .ops: [.readSchedule, .readLetters, .changeLetters, .replayLetters]
        case .fieldSupervisor: [.readSchedule]
        }
    }
}

/// Who sent a request.
struct Principal: Hashable, Sendable {
    /// The API key's id.
    var id: String
    /// The API key's name, for the change log.
    var name: String
    var role: ApiKeyRole
}
