package import Foundation

/// A stretch of time with its start and without its end, as `tstzrange` has it.
///
/// Two of them that touch do not overlap. `Foundation.DateInterval` includes its end, so it would call them a clash.
package struct Interval: Hashable, Sendable, Comparable {
    package var start: Date
    package var end: Date

    package init(start: Date, end: Date) {
        precondition(start <= end, "an interval must not end before it starts")
        self.start = start
        self.end = end
    }

    /// Seconds.
    package var duration: TimeInterval { end.timeIntervalSince(start) }

    package func overlaps(_ other: Interval) -> Bool {
        start < other.end && other.start < end
    }

    package func contains(_ other: Interval) -> Bool {
        start <= other.start && other.end <= end
    }

    package static func < (left: Interval, right: Interval) -> Bool {
        (left.start, left.end) < (right.start, right.end)
    }
}

/// How long a visit takes on site, and the time before and after it that its people and machines cannot be elsewhere.
package struct Footprint: Hashable, Sendable {
    package var workMinutes: Int
    package var bufferBeforeMinutes: Int
    package var bufferAfterMinutes: Int

    package init(workMinutes: Int, bufferBeforeMinutes: Int = 0, bufferAfterMinutes: Int = 0) {
        self.workMinutes = workMinutes
        self.bufferBeforeMinutes = bufferBeforeMinutes
        self.bufferAfterMinutes = bufferAfterMinutes
    }

    /// The time on site of a visit that starts at `start`. Its length is absolute: clock changes do not stretch it.
    package func work(from start: Date) -> Interval {
        Interval(start: start, end: start + Double(workMinutes) * 60)
    }

    /// The time that is taken by a visit that starts at `start`.
    package func occupied(from start: Date) -> Interval {
        Interval(
            start: start - Double(bufferBeforeMinutes) * 60, end: start + Double(workMinutes + bufferAfterMinutes) * 60)
    }

    /// Everything that visits which start in `window` touch.
    package func reach(of window: Interval) -> Interval {
        Interval(
            start: window.start - Double(bufferBeforeMinutes) * 60,
            end: window.end + Double(workMinutes + bufferAfterMinutes) * 60)
    }

    /// The parts of the taken time that are not work.
    package var buffers: Candidate.Buffers {
        Candidate.Buffers(before: Double(bufferBeforeMinutes) * 60, after: Double(bufferAfterMinutes) * 60)
    }
}
