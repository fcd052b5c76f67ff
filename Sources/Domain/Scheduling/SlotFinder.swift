package import Foundation

/// Finds times at which a visit fits: in business hours, with one free resource of each group, buffers included.
///
/// It is deterministic, and bounded by the window and by the number of busy intervals: it jumps over what is taken.
package struct SlotFinder: Sendable {
    package var calendar: BusinessCalendar
    /// Whether business hours and holidays do not count, as for emergencies.
    package var isAnyHour: Bool
    package var footprint: Footprint
    /// Visits start at such steps from the opening of the day, so that people get round times.
    package var stepMinutes: Int

    /// A time that fits, and who would go.
    package struct Slot: Hashable, Sendable {
        package var work: Interval
        package var selection: Selection

        package init(work: Interval, selection: Selection) {
            self.work = work
            self.selection = selection
        }
    }

    /// - Parameter stepMinutes: at least 1.
    package init(calendar: BusinessCalendar, isAnyHour: Bool, footprint: Footprint, stepMinutes: Int = 30) {
        precondition(stepMinutes > 0, "a step takes time")
        self.calendar = calendar
        self.isAnyHour = isAnyHour
        self.footprint = footprint
        self.stepMinutes = stepMinutes
    }

    /// The slots that start in `window`, earliest first.
    ///
    /// - Parameter limit: how many at most.
    package func slots(startingIn window: Interval, groups: [CandidateGroup], limit: Int) -> [Slot] {
        var slots: [Slot] = []
        for opening in openings(in: window) {
            var step = max(0, steps(from: opening.start, to: window.start, rounded: .up))
            while slots.count < limit {
                let start = opening.start + Double(step) * stepSeconds
                guard start < window.end, opening.contains(footprint.work(from: start)) else { break }
                if let slot = openSlot(at: start, groups: groups) {
                    slots.append(slot)
                    step += 1
                } else {
                    guard let next = earliestStart(after: start, groups: groups) else { return slots }
                    step = max(step + 1, steps(from: opening.start, to: next, rounded: .up))
                }
            }
            if slots.count == limit { break }
        }
        return slots
    }

    /// The slots that start in `window`, latest first.
    package func slotsBackwards(startingIn window: Interval, groups: [CandidateGroup], limit: Int) -> [Slot] {
        var slots: [Slot] = []
        for opening in openings(in: window).reversed() {
            let last = min(opening.end - Double(footprint.workMinutes) * 60, window.end)
            var step = steps(from: opening.start, to: last, rounded: .down)
            while slots.count < limit, step >= 0 {
                let start = opening.start + Double(step) * stepSeconds
                guard start >= window.start else { break }
                if start < window.end, let slot = openSlot(at: start, groups: groups) {
                    slots.append(slot)
                    step -= 1
                } else if start == window.end {
                    step -= 1
                } else {
                    guard let next = latestStart(before: start, groups: groups) else { return slots }
                    step = min(step - 1, steps(from: opening.start, to: next, rounded: .down))
                }
            }
            if slots.count == limit { break }
        }
        return slots
    }

    /// The slot that starts at this very time, whatever the step; nil if it is closed or taken.
    package func slot(at start: Date, groups: [CandidateGroup]) -> Slot? {
        guard isAnyHour || calendar.objection(to: footprint.work(from: start)) == nil else { return nil }
        return openSlot(at: start, groups: groups)
    }

    private func openSlot(at start: Date, groups: [CandidateGroup]) -> Slot? {
        groups.selection(in: footprint.occupied(from: start)).map {
            Slot(work: footprint.work(from: start), selection: $0)
        }
    }

    private var stepSeconds: TimeInterval { Double(stepMinutes) * 60 }

    private func openings(in window: Interval) -> [Interval] {
        guard isAnyHour else { return calendar.openings(from: window.start, to: window.end) }
        // One opening without end; it begins at midnight, so that its steps are round times.
        let day = calendar.clock.day(of: window.start)
        let start = calendar.clock.instant(.midnight, on: day)
        return [Interval(start: start, end: window.end + Double(footprint.workMinutes) * 60)]
    }

    private func steps(from start: Date, to end: Date, rounded: FloatingPointRoundingRule) -> Int {
        Int((end.timeIntervalSince(start) / stepSeconds).rounded(rounded))
    }

    /// The earliest start after `start` that what is taken now does not rule out; nil if a group has no members.
    private func earliestStart(after start: Date, groups: [CandidateGroup]) -> Date? {
        let wanted = footprint.occupied(from: start)
        var next = start
        for group in groups {
            // One free member is enough, so the group is held up until its first member is through.
            let ends = group.members.map { $0.earliestStart(pastObstaclesOf: wanted) }
            guard let end = ends.min() else { return nil }
            next = max(next, end + Double(footprint.bufferBeforeMinutes) * 60)
        }
        return next
    }

    private func latestStart(before start: Date, groups: [CandidateGroup]) -> Date? {
        let wanted = footprint.occupied(from: start)
        var next = start
        for group in groups {
            let starts = group.members.map { $0.latestEnd(beforeObstaclesOf: wanted) }
            guard let begin = starts.max() else { return nil }
            next = min(next, begin - Double(footprint.workMinutes + footprint.bufferAfterMinutes) * 60)
        }
        return next
    }
}
