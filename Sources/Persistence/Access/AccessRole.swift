/// What a user or an API key may do, by the name of its role. The table of rights is `AccessMatrix`.
package enum AccessRole: String, Codable, CaseIterable, Sendable {
    case admin
    case operationsManager = "operations_manager"
    case dispatcher, sales
    case fieldSupervisor = "field_supervisor"
    case office, ops
    /// Machines; no user has it.
    case service
}
