/// One delay that the broker can give a message: a queue whose messages go back to the work queue when their time is up.
package struct RetryTier: Hashable, Sendable {
    /// As in the queue's name, such as `30s`.
    package let name: String
    package let delay: Duration
    /// The suffixes of sibling queues with slightly different delays, which spread a crowd; empty if there is one queue.
    package let siblings: [String]

    package init(name: String, delay: Duration, siblings: [String] = []) {
        self.name = name
        self.delay = delay
        self.siblings = siblings
    }

    /// The tier's queue for a message of `workQueue`; also its routing key in the exchange `retry`.
    ///
    /// - Parameter spread: any number that differs between messages, such as a hash; chooses the sibling.
    package func queue(of workQueue: String, spread: UInt) -> String {
        let queue = "\(workQueue).retry.\(name)"
        if siblings.isEmpty { return queue }
        return "\(queue).\(siblings[Int(spread % UInt(siblings.count))])"
    }
}

/// How often a message is tried, and how long it rests in between.
package struct RetryPolicy: Hashable, Sendable {
    /// By ascending delay; never empty.
    package let tiers: [RetryTier]
    /// Tries in all, the first included.
    package let maxAttempts: Int
    /// Crashes of a process, with this message alone in its lane, after which it is taken for poison.
    package let maxSoloCrashes: Int

    /// The tiers that `topology/topology.yaml` declares for every work queue.
    package static let standardTiers = [
        RetryTier(name: "5s", delay: .seconds(5)),
        RetryTier(name: "30s", delay: .seconds(30), siblings: ["a", "b", "c"]),
        RetryTier(name: "2m", delay: .seconds(120), siblings: ["a", "b", "c"]),
        RetryTier(name: "10m", delay: .seconds(600)),
        RetryTier(name: "1h", delay: .seconds(3_600)),
        RetryTier(name: "6h", delay: .seconds(21_600)),
    ]

    /// The tiers of the queues for emergencies: none that is longer than an emergency can wait.
    package static let urgentTiers = Array(standardTiers.prefix(3))

    /// - Parameter tiers: at least one; sorted here.
    package init(
        tiers: [RetryTier] = standardTiers, maxAttempts: Int = 8, maxSoloCrashes: Int = 3
    ) {
        precondition(!tiers.isEmpty && maxAttempts > 0, "a retry policy has a tier and an attempt")
        self.tiers = tiers.sorted { $0.delay < $1.delay }
        self.maxAttempts = maxAttempts
        self.maxSoloCrashes = maxSoloCrashes
    }

    /// The same policy with only the named tiers, so that a trial need not wait for hours.
    ///
    /// - Parameter names: comma-separated tier names, as in `NEFF_RETRY_TIERS`.
    /// - Returns: nil if a name is unknown or there is none.
    package func restricted(to names: String) -> RetryPolicy? {
        let wanted = names.split(separator: ",").map { $0.filter { !$0.isWhitespace } }
        let kept = tiers.filter { wanted.contains($0.name) }
        guard !wanted.isEmpty, wanted.allSatisfy({ name in tiers.contains { $0.name == name } }) else { return nil }
        return RetryPolicy(
            tiers: kept, maxAttempts: maxAttempts, maxSoloCrashes: maxSoloCrashes)
    }

    /// Where a message rests after its `spent`-th failed attempt (from 1): one tier further each time, then the last.
    ///
    /// - Parameter minimum: the shortest useful delay; beyond the longest tier it is the longest tier.
    package func tier(afterAttempts spent: Int, atLeast minimum: Duration? = nil) -> RetryTier {
        let usual = min(max(spent, 1), tiers.count) - 1
        guard let minimum else { return tiers[usual] }
        return tiers[usual...].first { $0.delay >= minimum } ?? tiers[tiers.count - 1]
    }
}
