package import Domain
package import Foundation
package import Postgres

/// Looks for times at which a visit fits, and says why there are none. It reads and books nothing: what it finds was free
/// at that moment.
package struct SlotSearch: Sendable {
    package let finder: SlotFinder
    package let requirements: Requirements
    /// When such visits may start at all: notice and horizon.
    package let bookable: Interval

    /// What was found in a window.
    package struct Found: Sendable {
        package var slots: [SlotFinder.Slot]
        /// Why there are none, in plain words; empty if there are some.
        package var reasons: [Reason]
    }

    /// Why nothing is free.
    package struct Reason: Codable, Hashable, Sendable {
        package var reason: String
        /// Whom it is about, if it is about one.
        package var resource: ResourceID?
        package var resourceName: String?

        init(_ reason: String) {
            self.reason = reason
        }

        init(_ conflict: Problem.Conflict) {
            reason = conflict.reason + "."
            resource = conflict.resource
            resourceName = conflict.resourceName
        }
    }

    /// Whether a visit fits at one time.
    package struct Verdict: Sendable {
        package var work: Interval
        /// Who would go; nil if it does not fit.
        package var slot: SlotFinder.Slot?
        /// What is wrong with the time itself.
        package var objection: BusinessCalendar.Closed?
        /// Whom it fails for, each with the first rule that fails.
        package var conflicts: [Problem.Conflict]
        /// What the company has none of at all, in plain words.
        package var missing: [String]
        /// What would fit, nearest first.
        package var alternatives: [Alternative]
    }

    private var clock: SiteClock { finder.calendar.clock }

    private func words(_ instant: Date) -> String {
        "\(clock.day(of: instant)) \(clock.timeText(instant)) \(clock.abbreviation(at: instant))"
    }

    private var bookableWords: String {
        "Such visits can be booked from \(words(bookable.start)) to \(words(bookable.end))."
    }

    private func roster(for window: Interval, in transaction: Transaction) async throws -> Roster {
        // Busy times of everything that a visit could touch that starts at the window's end.
        try await Roster.load(
            requirements, footprint: finder.footprint, window: finder.footprint.reach(of: window),
            week: clock.week(of: window.start), preferences: [:], in: transaction)
    }

    /// The first times that fit in `window`.
    ///
    /// - Parameter limit: at most so many.
    package func slots(in window: Interval, limit: Int, in transaction: Transaction) async throws -> Found {
        let start = max(window.start, bookable.start)
        let end = min(window.end, bookable.end)
        guard start < end else {
            return Found(slots: [], reasons: [Reason(bookableWords)])
        }
        let open = Interval(start: start, end: end)
        let roster = try await roster(for: open, in: transaction)
        let slots = finder.slots(startingIn: open, groups: roster.groups, limit: limit)
        return Found(slots: slots, reasons: slots.isEmpty ? reasons(in: open, roster) : [])
    }

    /// How many openings are looked at to say why nothing is free.
    private static let maxProbes = 10

    private func reasons(in window: Interval, _ roster: Roster) -> [Reason] {
        var reasons: [Reason] = []
        for group in roster.groups where group.members.isEmpty {
            reasons += group.rejections.map(Reason.init)
        }
        reasons += Self.missing(roster).map { Reason($0) }
        let starts = probes(in: window)
        if starts.isEmpty {
            reasons.append(
                Reason(
                    "Between \(words(window.start)) and \(words(window.end)) no working time has room for a visit of "
                        + "\(finder.footprint.workMinutes) minutes."))
        }
        let groups = roster.groups.filter { !$0.members.isEmpty }
        let conflicts = starts.flatMap {
            groups.conflicts(in: finder.footprint.occupied(from: $0), clock: clock)
        }
        // Of each the first: what keeps them from the earliest time.
        var told = Set(reasons.compactMap(\.resource))
        for conflict in conflicts where told.insert(conflict.resource).inserted { reasons.append(Reason(conflict)) }
        return reasons
    }

    /// Groups in which there is nobody, and nobody who is kept out either.
    private static func missing(_ roster: Roster) -> [String] {
        roster.groups.filter { $0.members.isEmpty && $0.rejected.isEmpty }.map {
            "There is no active \($0.name.replacing("_", with: " "))."
        }
    }

    /// The first possible start of each opening.
    private func probes(in window: Interval) -> [Date] {
        guard !finder.isAnyHour else { return [window.start] }
        return finder.calendar.openings(from: window.start, to: window.end).compactMap { opening in
            let start = max(opening.start, window.start)
            return start < window.end && opening.contains(finder.footprint.work(from: start)) ? start : nil
        }.prefix(Self.maxProbes).map(\.self)
    }

    /// Whether a visit fits at `start`, and what does if it does not.
    package func verdict(at start: Date, in transaction: Transaction) async throws -> Verdict {
        let footprint = finder.footprint
        let roster = try await roster(for: Interval(start: start, end: start), in: transaction)
        let work = footprint.work(from: start)
        var verdict = Verdict(work: work, conflicts: [], missing: [], alternatives: [])
        verdict.objection = objection(to: work)
        let selection = roster.groups.selection(in: footprint.occupied(from: start))
        if verdict.objection == nil, let selection {
            verdict.slot = SlotFinder.Slot(work: work, selection: selection)
            return verdict
        }
        verdict.conflicts = roster.groups.conflicts(in: footprint.occupied(from: start), clock: clock)
        verdict.missing = Self.missing(roster)
        verdict.alternatives = try await alternatives(to: start, in: transaction)
        return verdict
    }

    private func objection(to work: Interval) -> BusinessCalendar.Closed? {
        if work.start < bookable.start || work.start >= bookable.end {
            return BusinessCalendar.Closed(
                code: work.start < bookable.start ? "too_soon" : "too_far", description: bookableWords)
        }
        return finder.isAnyHour ? nil : finder.calendar.objection(to: work)
    }

    private func alternatives(to start: Date, in transaction: Transaction) async throws -> [Alternative] {
        let day: TimeInterval = 86_400
        let near = min(max(start, bookable.start), bookable.end)
        let window = Interval(
            start: max(bookable.start, near - 7 * day), end: min(near + 14 * day, bookable.end))
        let roster = try await roster(for: window, in: transaction)
        return AlternativeSearch(finder: finder, leads: roster.leads, support: roster.support, window: window)
            .alternatives(to: start)
    }
}
