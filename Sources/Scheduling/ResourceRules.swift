package import Domain
package import Persistence
package import Postgres

/// What keeps resources from going although nothing takes them: status, skills, certificates, size, time off and shifts.
package struct ResourceRules: Sendable {
    private let demands: Demands
    /// Of whom skills and size are asked; machines have neither.
    private let leadKind: ResourceKind
    private let window: Interval
    private let absences: [ResourceID: [Absences.Away]]
    private let members: [ResourceID: [Resource]]

    /// Reads what the rules need to know of the resources and of their members.
    ///
    /// - Parameter window: the rules are known within it, and only there.
    package static func load(
        _ resources: [Resource], demands: Demands, leadKind: ResourceKind, window: Interval,
        in transaction: Transaction
    ) async throws -> ResourceRules {
        let crews = resources.filter { $0.kind == .crew }.map(\.id)
        let members = crews.isEmpty ? [:] : try await Resources.members(of: crews, in: transaction)
        let everybody = resources.map(\.id) + members.values.flatMap { $0.map(\.id) }
        return ResourceRules(
            demands: demands, leadKind: leadKind, window: window,
            absences: try await Absences.during(window, of: everybody, in: transaction), members: members)
    }

    /// The rule that keeps one resource out whatever the time is.
    package static func objection(
        to resource: Resource, _ demands: Demands, in transaction: Transaction
    ) async throws -> Staffing.Objection? {
        let members = try await Resources.members(of: [resource.id], in: transaction)[resource.id] ?? []
        return Staffing(
            own: resource.abilities,
            members: members.map { Member(name: $0.assignee.name, abilities: $0.abilities, away: []) }
        ).objection(to: demands)
    }

    /// Why a resource cannot go at any time, in words that follow its name; nil if it can at some.
    func rejection(of resource: Resource) -> String? {
        switch resource.status {
        case .available: break
        case .inService: return "is at the workshop"
        case .outOfService: return "is out of service"
        }
        guard resource.kind == leadKind else { return nil }
        return staffing(of: resource).objection(to: demands)?.words
    }

    /// When a resource cannot go, in the order in which people are told.
    func refusals(of resource: Resource) -> [Refusal] {
        let staffing = resource.kind == leadKind ? staffing(of: resource).refusals(of: demands, in: window) : []
        let away = (absences[resource.id] ?? []).map { away in
            Refusal(
                during: away.during, countsBuffers: true,
                reason: away.kind == .timeOff ? "is off (\(away.reason))" : "is in maintenance (\(away.reason))",
                tellsTime: true)
        }
        let shifts = resource.shifts.off(in: window).map { Refusal(during: $0, reason: "does not work at that time") }
        return staffing + away + shifts
    }

    private func staffing(of resource: Resource) -> Staffing {
        Staffing(
            own: resource.abilities,
            members: (members[resource.id] ?? []).map { member in
                Member(
                    name: member.assignee.name, abilities: member.abilities,
                    away: (absences[member.id] ?? []).map(\.during) + member.shifts.off(in: window))
            })
    }
}
