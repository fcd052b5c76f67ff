import Domain
import Foundation
import Persistence
import Postgres

/// What a visit needs beside a time: who may lead it, and which machines.
struct Requirements: Sendable {
    /// For whom resources are taken. What it holds already does not stand in its own way.
    var subject: Subject
    var leadKind: ResourceKind
    /// A lead has all of them.
    var skills: Set<String> = []
    /// One machine of each.
    var equipmentTypes: [String] = []
    /// Only this lead will do.
    var requestedLead: ResourceID?
}

/// The resources that fit the requirements, and when they are taken; a picture of one moment.
struct Roster: Sendable {
    /// All who may lead, also when one of them was asked for.
    var leads: CandidateGroup
    var support: [CandidateGroup]
    var requestedLead: ResourceID?

    /// What has to be filled: the lead first.
    var groups: [CandidateGroup] {
        [requestedLead.map(leads.only) ?? leads] + support
    }

    var memberIDs: [ResourceID] {
        groups.flatMap { $0.members.map(\.assignee.id) }
    }

    /// Reads the roster.
    ///
    /// - Parameters:
    ///   - window: which busy times to read; the week in which `loadMinutes` are counted is always among them.
    ///   - week: the week of the visit, for the balance between those who could go.
    ///   - preferences: who goes first, the lowest number first; others have none.
    static func load(
        _ requirements: Requirements, window: Interval, week: Interval, preferences: [ResourceID: Int],
        in transaction: Transaction
    ) async throws -> Roster {
        let resources = try await Resources.active(
            requirements.leadKind, equipmentTypes: requirements.equipmentTypes, in: transaction)
        let whole = Interval(start: min(window.start, week.start), end: max(window.end, week.end))
        let busy = try await Allocations.busy(
            resources.map(\.id), in: whole, except: requirements.subject, in: transaction)
        func group(_ name: String, _ members: [Resource]) -> CandidateGroup {
            CandidateGroup(
                name: name,
                members: members.map { resource in
                    let taken = busy[resource.id] ?? []
                    return Candidate(
                        assignee: resource.assignee, busy: taken, loadMinutes: minutes(of: taken, in: week),
                        preference: preferences[resource.id] ?? Candidate.noPreference)
                })
        }
        let leads = resources.filter {
            $0.kind == requirements.leadKind && requirements.skills.isSubset(of: $0.skills)
        }
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
