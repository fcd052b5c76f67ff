/// Pauses between attempts: exponential with full jitter above a floor.
///
/// The pause before attempt `n + 1` is uniform in `base ... min(cap, base * 2^n)`: after a broker restart the clients
/// come back spread out, and none of them spins.
package struct Backoff: Sendable, Hashable {
    package var base: Duration
    package var cap: Duration

    package init(base: Duration = .milliseconds(250), cap: Duration = .seconds(15)) {
        self.base = base
        self.cap = max(base, cap)
    }

    /// The longest pause after `failures` failed attempts in a row, from 1. Values past 30 count as 30.
    package func window(_ failures: Int) -> Duration {
        min(cap, base * (1 << min(max(failures, 0), 30)))
    }

    /// A pause drawn from the window.
    ///
    /// - Parameter fraction: where in the window, 0 ... 1; random unless given.
    package func delay(_ failures: Int, fraction: Double = .random(in: 0...1)) -> Duration {
        base + (window(failures) - base) * fraction
    }
}
