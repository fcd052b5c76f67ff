package import Domain
import Foundation
package import Persistence
package import Postgres

/// What a visit needs beside a time: who may lead it, and which machines.
package struct Requirements: Sendable {
    /// For whom resources are taken. What it holds already does not stand in its own way.
    package var subject: Subject
    package var leadKind: ResourceKind
    /// Of those who lead.
    package var demands: Demands
    /// One machine of each.
    package var equipmentTypes: [String]
    /// Only this lead will do.
    package var requestedLead: ResourceID?

    package init(
        subject: Subject, leadKind: ResourceKind, demands: Demands = Demands(), equipmentTypes: [String] = [],
        requestedLead: ResourceID? = nil
    ) {
        self.subject = subject
        self.leadKind = leadKind
        self.demands = demands
        self.equipmentTypes = equipmentTypes
        self.requestedLead = requestedLead
    }
}

/// The resources that fit the requirements, and when they are taken; a picture of one moment.
package struct Roster: Sendable {
    /// All who may lead, also when one of them was asked for.
    package var leads: CandidateGroup
    package var support: [CandidateGroup]
    package var requestedLead: ResourceID?

    /// What has to be filled: the lead first.
    package var groups: [CandidateGroup] {
        [requestedLead.map(leads.only) ?? leads] + support
    }

    package var memberIDs: [ResourceID] {
        groups.flatMap { $0.members.map(\.assignee.id) }
    }

    /// Reads the roster.
    ///
    /// - Parameters:
    ///   - footprint: what of the taken time is work, which is what shifts and certificates are about.
    ///   - window: which busy times to read; the week in which `loadMinutes` are counted is always among them.
    ///   - week: the week of the visit, for the balance between those who could go.
    ///   - preferences: who goes first, the lowest number first; others have none.
    package static func load(
        _ requirements: Requirements, footprint: Footprint, window: Interval, week: Interval,
        preferences: [ResourceID: Int], in transaction: Transaction
    ) async throws -> Roster {
        let resources = try await Resources.active(
            requirements.leadKind, equipmentTypes: requirements.equipmentTypes, in: transaction)
        let whole = Interval(start: min(window.start, week.start), end: max(window.end, week.end))
        let busy = try await Allocations.busy(
            resources.map(\.id), in: whole, except: requirements.subject, in: transaction)
        let rules = try await ResourceRules.load(
            resources, demands: requirements.demands, leadKind: requirements.leadKind,
            window: footprint.reach(of: window), in: transaction)
        func group(_ name: String, _ members: [Resource]) -> CandidateGroup {
            let rejected = members.compactMap { resource in
                rules.rejection(of: resource).map {
                    CandidateGroup.Rejected(
                        assignee: resource.assignee, reason: "\(resource.assignee.name) \($0)")
                }
            }
            let out = Set(rejected.map(\.assignee.id))
            return CandidateGroup(
                name: name,
                members: members.filter { !out.contains($0.id) }.map { resource in
                    let taken = busy[resource.id] ?? []
                    var candidate = Candidate(
                        assignee: resource.assignee, busy: taken, loadMinutes: minutes(of: taken, in: week),
                        preference: preferences[resource.id] ?? Candidate.noPreference)
                    candidate.refusals = rules.refusals(of: resource)
                    candidate.buffers = footprint.buffers
                    return candidate
                },
                rejected: rejected)
        }
        let leads = resources.filter { $0.kind == requirements.leadKind }
        return Roster(
            leads: group(requirements.leadKind.rawValue, leads),
            support: requirements.equipmentTypes.map { type in
                group(type, resources.filter { $0.kind == .equipment && $0.equipmentType == type })
            },
            requestedLead: requirements.requestedLead)
    }

    private static func minutes(of busy: [Interval], in week: Interval) -> Int {
        let seconds = busy.reduce(0) { sum, interval in
            sum + max(0, min(interval.end, week.end).timeIntervalSince(max(interval.start, week.start)))
        }
        return Int(seconds / 60)
    }
}
