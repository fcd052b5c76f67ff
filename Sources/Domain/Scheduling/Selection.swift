/// One resource for each group that a visit needs, all of them free.
package struct Selection: Hashable, Sendable {
    /// In the order of the groups: the crew or the estimator first.
    package var members: [Candidate]

    package init(members: [Candidate]) {
        self.members = members
    }
}

extension [CandidateGroup] {
    /// The best free member of each group.
    ///
    /// No resource is in two groups, so the best of each is the best of all and nothing has to be searched.
    /// - Returns: nil if one of the groups has nobody free.
    package func selection(in wanted: Interval) -> Selection? {
        var members: [Candidate] = []
        for group in self {
            guard let member = group.free(in: wanted) else { return nil }
            members.append(member)
        }
        return Selection(members: members)
    }

    /// Why nobody can go at `wanted`, in plain words, for each group that has nobody free: for each candidate the first rule
    /// that fails.
    ///
    /// - Parameter limit: at most so many lines; a fleet of fifty trucks helps nobody.
    package func conflicts(in wanted: Interval, clock: SiteClock, limit: Int = 20) -> [Problem.Conflict] {
        let day = clock.day(of: wanted.start)
        var conflicts: [Problem.Conflict] = []
        for group in self where group.free(in: wanted) == nil {
            for member in group.members {
                let name = member.assignee.name
                let times = member.clashes(with: wanted).prefix(3).map { clock.text($0, knownDay: day) }
                let reason =
                    member.firstRefusal(of: wanted).map { "\(name) \($0.words(clock, knownDay: day))" }
                    ?? "\(name) is taken \(times.joined(separator: " and "))"
                conflicts.append(
                    Problem.Conflict(resource: member.assignee.id, resourceName: name, reason: reason))
            }
            conflicts += group.rejections
        }
        if conflicts.count > limit { conflicts.removeLast(conflicts.count - limit) }
        return conflicts
    }
}

extension CandidateGroup {
    /// Those who cannot go at any time, as a problem lists them.
    package var rejections: [Problem.Conflict] {
        rejected.map {
            Problem.Conflict(resource: $0.assignee.id, resourceName: $0.assignee.name, reason: $0.reason)
        }
    }
}
