import WorkerRuntime

/// A broker in memory with a clock that the simulation moves, as far as retries and dead letters need one.
struct SimulatedBroker {
    /// One copy of a message; there may be two of it at once.
    struct Copy {
        let id: String
        let queue: String
        /// The header: failed attempts, as the code under test counts them.
        var attempts = 0
        /// The same, as the simulation counts them.
        var failures = 0
        /// `x-delivery-count`.
        var returns = 0
        var hasCrashEvidence: Bool { returns > 0 }
    }

    struct Letter {
        let id: String
        /// The runtime's reason, or `delivery_limit`.
        let reason: String
    }

    /// Less than in production, so that whatever wastes deliveries is found out.
    static let deliveryLimit = 5

    var now = ContinuousClock.now
    private(set) var queues: [String: [Copy]] = [:]
    private(set) var resting: [(due: ContinuousClock.Instant, copy: Copy)] = []
    private(set) var letters: [Letter] = []

    var isEmpty: Bool { queues.values.allSatisfy(\.isEmpty) && resting.isEmpty }
    var copies: [Copy] { queues.values.flatMap { $0 } + resting.map(\.copy) }

    mutating func publish(_ copy: Copy) { queues[copy.queue, default: []].append(copy) }

    mutating func take(_ limit: Int, from queue: String) -> [Copy] {
        let taken = Array(queues[queue, default: []].prefix(limit))
        queues[queue]?.removeFirst(taken.count)
        return taken
    }

    /// What every return is, whatever its cause: counted, and at the limit the end.
    mutating func giveBack(_ copy: Copy) {
        var copy = copy
        copy.returns += 1
        if copy.returns > Self.deliveryLimit {
            letters.append(Letter(id: copy.id, reason: "delivery_limit"))
        } else {
            queues[copy.queue, default: []].insert(copy, at: 0)
        }
    }

    /// A new message for the broker: it counts from anew.
    mutating func rest(_ copy: Copy, in tier: RetryTier) {
        var copy = copy
        copy.returns = 0
        resting.append((now + tier.delay, copy))
    }

    mutating func bury(_ copy: Copy, _ reason: DeadLetterReason) {
        letters.append(Letter(id: copy.id, reason: reason.rawValue))
    }

    mutating func advance(by step: Duration) {
        now += step
        for (due, copy) in resting.sorted(by: { $0.due < $1.due }) where due <= now { publish(copy) }
        resting.removeAll { $0.due <= now }
    }
}
