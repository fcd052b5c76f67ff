/// How a replay campaign goes about its letters.
package struct ReplayRules: Hashable, Sendable {
    /// The work queue they are sent to; nil is the one where each of them died.
    package var targetQueue: String?
    /// The first letters to go. Their outcomes are awaited before any other leaves. 0 does without.
    package var canary: Int
    /// The sizes of the batches after the canary; each one's outcomes are awaited before the next.
    package var ramp: [Int]
    /// Letters per second; nil is as fast as outcomes come.
    package var rate: Double?
    /// The most letters that are on the way without a known outcome.
    package var maxInFlight: Int
    /// The share of failures, 0 to 1, above which the campaign stops itself.
    package var abortAbove: Double

    /// The most letters that one campaign takes.
    package static let maxLetters = 100_000
    /// Over how many of the last outcomes the share of failures is taken.
    package static let judgedOutcomes = 100

    package init(
        targetQueue: String? = nil, canary: Int = 1, ramp: [Int] = [5, 20, 100], rate: Double? = 50,
        maxInFlight: Int = 200, abortAbove: Double = 0.05
    ) {
        self.targetQueue = targetQueue
        self.canary = canary
        self.ramp = ramp
        self.rate = rate
        self.maxInFlight = maxInFlight
        self.abortAbove = abortAbove
    }

    /// What is wrong with the rules, by the name of the field, in words for whoever gave them; empty if nothing is.
    package var faults: [(field: String, problem: String)] {
        var faults: [(field: String, problem: String)] = []
        let limit = Self.maxLetters
        if !(0...limit).contains(canary) { faults.append(("canary", "must be within 0 to \(limit)")) }
        if ramp.count > 20 || !ramp.allSatisfy((1...limit).contains) {
            faults.append(("ramp", "must be at most 20 sizes, each within 1 to \(limit)"))
        }
        if let rate, !(rate >= 0.01 && rate <= 10_000) { faults.append(("rate", "must be within 0.01 to 10000")) }
        if !(1...5_000).contains(maxInFlight) { faults.append(("max_in_flight", "must be within 1 to 5000")) }
        if !(abortAbove >= 0 && abortAbove <= 1) { faults.append(("abort_above", "must be a share within 0 to 1")) }
        return faults
    }

    /// How many letters may have been sent at the end of the canary and of each batch of the ramp.
    var milestones: [Int] {
        var sum = 0
        return ([canary] + ramp).filter { $0 > 0 }.map { size in
            sum += size
            return sum
        }
    }
}
