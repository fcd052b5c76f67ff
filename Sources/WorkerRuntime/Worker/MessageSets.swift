import Messaging

/// Jobs whose messages may be handled together, and those that are handled by themselves.
struct MessageSets<Item: Sendable>: Sendable {
    /// By their places among the jobs, with what each message says.
    typealias Member = (place: Int, item: Item)

    private(set) var sets: [[Member]] = []
    private(set) var alone: [Int] = []

    /// Puts each job into the first set in which nothing is about the same.
    ///
    /// A replayed message stays alone, because a campaign's fence stands before the claim; so does a second copy.
    init(_ jobs: [Job], _ handler: some SetHandler<Item>) {
        var subjects: [Set<String>] = []
        var ids: Set<String> = []
        for (place, job) in jobs.enumerated() {
            guard handler.joins(job.envelope.type), job.envelope.replay == nil, ids.insert(job.envelope.id).inserted,
                let item = handler.item(of: job.envelope)
            else {
                alone.append(place)
                continue
            }
            let own = handler.subjects(of: item)
            if let free = subjects.firstIndex(where: { $0.isDisjoint(with: own) }) {
                subjects[free].formUnion(own)
                sets[free].append((place, item))
            } else {
                subjects.append(own)
                sets.append([(place, item)])
            }
        }
        // A set of one gains nothing.
        alone += sets.filter { $0.count == 1 }.map { $0[0].place }
        sets.removeAll { $0.count == 1 }
        alone.sort()
    }
}
