/// A stretch of time in which a candidate cannot go by a rule, and the rule in words.
package struct Refusal: Hashable, Sendable {
    package var during: Interval
    /// Whether travel and preparation must stay out of it too, and not only the work on site.
    package var countsBuffers: Bool
    /// What follows the candidate's name, such as `is off (vacation)`.
    package var reason: String
    /// Whether people want to know from when to when, as for a vacation.
    package var tellsTime: Bool

    package init(during: Interval, countsBuffers: Bool = false, reason: String, tellsTime: Bool = false) {
        self.during = during
        self.countsBuffers = countsBuffers
        self.reason = reason
        self.tellsTime = tellsTime
    }

    /// The rule with its time, if that matters.
    package func words(_ clock: SiteClock, knownDay: LocalDay? = nil) -> String {
        tellsTime ? "\(reason) \(clock.text(during, knownDay: knownDay))" : reason
    }
}
