package import Foundation

/// A resource that could take a visit, and when it cannot.
package struct Candidate: Hashable, Sendable {
    package var assignee: Assignee
    /// When it is taken, buffers included; sorted, without overlaps.
    package var busy: [Interval]
    /// Minutes that it is already taken in the week of the visit; the least busy goes first.
    package var loadMinutes: Int
    /// Goes before everything else: the lowest first. Set for the one who has the visit already, or hosts it.
    package var preference: Int
    /// When it cannot go although nothing takes it, and why: its shifts, its certificates, its people. The first that
    /// applies is what people are told.
    package var refusals: [Refusal] = []
    /// What of a taken time is travel and preparation, in seconds. Refusals count for the time between them alone.
    package var buffers = Buffers()

    /// Time before and after the work on site.
    package struct Buffers: Hashable, Sendable {
        package var before: Double
        package var after: Double

        package init(before: Double = 0, after: Double = 0) {
            self.before = before
            self.after = after
        }
    }

    /// Preference of a candidate that nothing speaks for.
    package static let noPreference = Int.max

    package init(
        assignee: Assignee, busy: [Interval] = [], loadMinutes: Int = 0, preference: Int = Candidate.noPreference
    ) {
        self.assignee = assignee
        self.busy = busy.sorted()
        self.loadMinutes = loadMinutes
        self.preference = preference
    }

    /// The busy intervals that are in the way of `wanted`.
    package func clashes(with wanted: Interval) -> ArraySlice<Interval> {
        // The first interval that ends after the wanted start; those before it are over by then.
        var (low, high) = (0, busy.count)
        while low < high {
            let middle = (low + high) / 2
            if busy[middle].end > wanted.start { high = middle } else { low = middle + 1 }
        }
        var end = low
        while end < busy.count, busy[end].start < wanted.end { end += 1 }
        return busy[low..<end]
    }

    package func isFree(in wanted: Interval) -> Bool {
        clashes(with: wanted).isEmpty && firstRefusal(of: wanted) == nil
    }

    /// The first rule that forbids `wanted`, buffers included; nil if none does.
    package func firstRefusal(of wanted: Interval) -> Refusal? {
        guard !refusals.isEmpty else { return nil }
        let work = work(in: wanted)
        return refusals.first { $0.during.overlaps($0.countsBuffers ? wanted : work) }
    }

    /// Where a taken time must begin at the earliest to be past everything that is in the way of `wanted`.
    package func earliestStart(pastObstaclesOf wanted: Interval) -> Date {
        let work = work(in: wanted)
        return refusals.reduce(clashes(with: wanted).last?.end ?? wanted.start) { earliest, refusal in
            if refusal.countsBuffers {
                return refusal.during.overlaps(wanted) ? max(earliest, refusal.during.end) : earliest
            }
            return refusal.during.overlaps(work) ? max(earliest, refusal.during.end - buffers.before) : earliest
        }
    }

    /// Where a taken time must end at the latest to be before everything that is in the way of `wanted`.
    package func latestEnd(beforeObstaclesOf wanted: Interval) -> Date {
        let work = work(in: wanted)
        return refusals.reduce(clashes(with: wanted).first?.start ?? wanted.end) { latest, refusal in
            if refusal.countsBuffers {
                return refusal.during.overlaps(wanted) ? min(latest, refusal.during.start) : latest
            }
            return refusal.during.overlaps(work) ? min(latest, refusal.during.start + buffers.after) : latest
        }
    }

    private func work(in wanted: Interval) -> Interval {
        let start = wanted.start + buffers.before
        return Interval(start: start, end: max(start, wanted.end - buffers.after))
    }

    /// The order in which candidates are tried. It is total, so the same input gives the same plan.
    package static func isBetter(_ left: Candidate, _ right: Candidate) -> Bool {
        (left.preference, left.loadMinutes, left.assignee.name, left.assignee.id)
            < (right.preference, right.loadMinutes, right.assignee.name, right.assignee.id)
    }
}

/// Resources of which a visit needs one, best first: the crews, or the machines of one type.
package struct CandidateGroup: Hashable, Sendable {
    /// What it is, in words: `crew`, `estimator`, `paver`.
    package var name: String
    package private(set) var members: [Candidate]
    /// Those whom a rule keeps out at any time, such as a missing skill, each with that rule.
    package private(set) var rejected: [Rejected]

    /// Somebody who cannot go whatever the time is.
    package struct Rejected: Hashable, Sendable {
        package var assignee: Assignee
        /// A whole clause with the name in it, such as `Crew North lacks the skill milling`.
        package var reason: String

        package init(assignee: Assignee, reason: String) {
            self.assignee = assignee
            self.reason = reason
        }
    }

    package init(name: String, members: [Candidate], rejected: [Rejected] = []) {
        self.name = name
        self.members = members.sorted(by: Candidate.isBetter)
        self.rejected = rejected.sorted { ($0.assignee.name, $0.assignee.id) < ($1.assignee.name, $1.assignee.id) }
    }

    package func free(in wanted: Interval) -> Candidate? {
        members.first { $0.isFree(in: wanted) }
    }

    /// The same group with one member alone, or none if it is not in it.
    package func only(_ id: ResourceID) -> CandidateGroup {
        var group = self
        group.members.removeAll { $0.assignee.id != id }
        group.rejected.removeAll { $0.assignee.id != id }
        return group
    }
}
