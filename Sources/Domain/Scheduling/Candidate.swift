/// A resource that could take a visit, and when it cannot.
package struct Candidate: Hashable, Sendable {
    package var assignee: Assignee
    /// When it is taken, buffers included; sorted, without overlaps.
    package var busy: [Interval]
    /// Minutes that it is already taken in the week of the visit; the least busy goes first.
    package var loadMinutes: Int
    /// Goes before everything else: the lowest first. Set for the one who has the visit already, or hosts it.
    package var preference: Int

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
        clashes(with: wanted).isEmpty
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

    package init(name: String, members: [Candidate]) {
        self.name = name
        self.members = members.sorted(by: Candidate.isBetter)
    }

    package func free(in wanted: Interval) -> Candidate? {
        members.first { $0.isFree(in: wanted) }
    }

    /// The same group with one member alone, or none if it is not in it.
    package func only(_ id: ResourceID) -> CandidateGroup {
        var group = self
        group.members.removeAll { $0.assignee.id != id }
        return group
    }
}
