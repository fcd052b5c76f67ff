package import Foundation

/// Finds what would work instead of a time that does not.
///
/// First the same time with somebody else, then the nearest times before and after, with whoever is best then. The order
/// is by distance and then by time, so the same state gives the same answer.
package struct AlternativeSearch: Sendable {
    package var finder: SlotFinder
    /// Those who may lead the visit: crews or estimators. All of them, also when one was asked for by name.
    package var leads: CandidateGroup
    /// What is needed beside a lead.
    package var support: [CandidateGroup]
    /// When visits may start.
    package var window: Interval

    package init(finder: SlotFinder, leads: CandidateGroup, support: [CandidateGroup] = [], window: Interval) {
        self.finder = finder
        self.leads = leads
        self.support = support
        self.window = window
    }

    /// Up to `limit` alternatives to a visit that starts at `wanted`, best first.
    package func alternatives(to wanted: Date, limit: Int = 5) -> [Alternative] {
        var found: [Alternative] = []
        if window.start <= wanted, wanted < window.end {
            for lead in leads.members where found.count < limit {
                let groups = [CandidateGroup(name: leads.name, members: [lead])] + support
                if let slot = finder.slot(at: wanted, groups: groups) { found.append(alternative(slot)) }
            }
        }
        guard found.count < limit else { return found }
        let middle = min(max(wanted, window.start), window.end)
        let groups = [leads] + support
        let later = Interval(start: middle, end: window.end)
        let earlier = Interval(start: window.start, end: middle)
        let nearby =
            finder.slots(startingIn: later, groups: groups, limit: limit + 1)
            + finder.slotsBackwards(startingIn: earlier, groups: groups, limit: limit)
        let sorted = nearby.filter { $0.work.start != wanted }.sorted { left, right in
            let (near, far) = (distance(left, wanted), distance(right, wanted))
            return near == far ? left.work.start < right.work.start : near < far
        }
        return found + sorted.prefix(limit - found.count).map(alternative)
    }

    private func distance(_ slot: SlotFinder.Slot, _ wanted: Date) -> TimeInterval {
        abs(slot.work.start.timeIntervalSince(wanted))
    }

    private func alternative(_ slot: SlotFinder.Slot) -> Alternative {
        let lead = slot.selection.members[0].assignee
        return Alternative(
            startsAt: slot.work.start, endsAt: slot.work.end, resource: lead.id, resourceName: lead.name)
    }
}
