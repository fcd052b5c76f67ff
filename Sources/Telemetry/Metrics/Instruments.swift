import CoreMetrics
import Synchronization

/// A counter of whole things.
final class CounterInstrument: CounterHandler, Sendable {
    private let count = Atomic<Int64>(0)

    var value: Int64 { count.load(ordering: .relaxed) }

    /// Negative amounts are passed over: a counter that falls reads as a restart.
    func increment(by amount: Int64) {
        guard amount > 0 else { return }
        // A counter that reaches the end of its range stays there.
        var current = value
        while true {
            let (sum, isOver) = current.addingReportingOverflow(amount)
            let result = count.weakCompareExchange(
                expected: current, desired: isOver ? .max : sum, ordering: .relaxed)
            if result.exchanged { return }
            current = result.original
        }
    }

    func reset() {
        count.store(0, ordering: .relaxed)
    }
}

/// A value that goes up and down.
final class GaugeInstrument: MeterHandler, RecorderHandler, Sendable {
    private let current = Mutex(0.0)

    var value: Double { current.withLock { $0 } }

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { current.withLock { $0 = value } }
    func increment(by amount: Double) { current.withLock { $0 += amount } }
    func decrement(by amount: Double) { current.withLock { $0 -= amount } }
    func record(_ value: Int64) { set(Double(value)) }
    func record(_ value: Double) { set(value) }
}

/// Observations, counted in buckets.
final class HistogramInstrument: RecorderHandler, TimerHandler, Sendable {
    struct Snapshot: Sendable {
        /// One for each bound and one for everything beyond; not cumulative.
        var counts: [UInt64]
        var sum = 0.0
    }

    let bounds: [Double]
    private let state: Mutex<Snapshot>

    init(bounds: [Double]) {
        self.bounds = bounds
        state = Mutex(Snapshot(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    var snapshot: Snapshot { state.withLock { $0 } }

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        guard value.isFinite else { return }
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { snapshot in
            snapshot.counts[bucket] += 1
            snapshot.sum += value
        }
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
}
