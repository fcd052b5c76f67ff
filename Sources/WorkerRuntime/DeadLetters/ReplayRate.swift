/// How many letters a rate allows at a moment: a bucket that fills with time and holds half a second's worth.
package struct ReplayRate {
    private var tokens = 1.0
    private var filledAt: ContinuousClock.Instant

    package init(now: ContinuousClock.Instant) {
        filledAt = now
    }

    /// - Parameter rate: letters per second; nil allows any number.
    package mutating func allowance(_ rate: Double?, now: ContinuousClock.Instant) -> Int {
        guard let rate else { return .max }
        tokens = min(max(1, rate / 2), tokens + rate * ((now - filledAt) / .seconds(1)))
        filledAt = now
        return Int(tokens)
    }

    /// Takes note of letters that were sent.
    package mutating func spend(_ count: Int) {
        tokens = max(0, tokens - Double(count))
    }
}
