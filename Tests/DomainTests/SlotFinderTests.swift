import Domain
import Foundation
import Testing

@Suite struct SlotFinderTests {
    /// Every start on the grid, judged one by one: slow, and plainly right.
    private func oracle(_ finder: SlotFinder, in window: Interval, groups: [CandidateGroup]) -> [SlotFinder.Slot] {
        let step = Double(finder.stepMinutes) * 60
        let clock = finder.calendar.clock
        let openings =
            finder.isAnyHour
            ? [Interval(start: clock.instant(.midnight, on: clock.day(of: window.start)), end: window.end + 86400 * 3)]
            : finder.calendar.openings(from: window.start, to: window.end)
        return openings.flatMap { opening in
            stride(from: opening.start, to: opening.end, by: step).compactMap { start in
                guard window.start <= start, start < window.end else { return nil }
                return finder.slot(at: start, groups: groups)
            }
        }
    }

    private func randomBusy(_ generator: inout SeededGenerator, in window: Interval) -> [Interval] {
        var busy: [Interval] = []
        var start = window.start
        while start < window.end {
            start += Double(Int.random(in: 0...2000, using: &generator)) * 60
            let end = start + Double(Int.random(in: 1...900, using: &generator)) * 60
            busy.append(Interval(start: start, end: end))
            start = end
        }
        return busy
    }

    @Test(arguments: clockChanges, UInt64(1)...20)
    func findsExactlyTheSlotsThatFit(change: (from: String, to: String), seed: UInt64) throws {
        var generator = SeededGenerator(state: seed)
        let window = Interval(
            start: try instant(change.from) + Double(Int.random(in: 0...5000, using: &generator)) * 60,
            end: try instant(change.to))
        let groups = (0..<Int.random(in: 1...3, using: &generator)).map { group in
            CandidateGroup(
                name: "group \(group)",
                members: (0..<Int.random(in: 1...3, using: &generator)).map {
                    candidate("\(group).\($0)", busy: randomBusy(&generator, in: window))
                })
        }
        let finder = SlotFinder(
            calendar: try weekdayCalendar(holidays: [LocalDay(year: 2027, month: 3, day: 17): "A holiday"]),
            isAnyHour: seed.isMultiple(of: 3),
            footprint: Footprint(
                workMinutes: Int.random(in: 15...500, using: &generator),
                bufferBeforeMinutes: Int.random(in: 0...45, using: &generator),
                bufferAfterMinutes: Int.random(in: 0...45, using: &generator)))
        let expected = oracle(finder, in: window, groups: groups)
        let forwards = finder.slots(startingIn: window, groups: groups, limit: .max)
        #expect(forwards == expected)
        #expect(finder.slotsBackwards(startingIn: window, groups: groups, limit: .max) == expected.reversed())
        #expect(finder.slots(startingIn: window, groups: groups, limit: 2) == Array(expected.prefix(2)))
        for slot in forwards {
            let occupied = finder.footprint.occupied(from: slot.work.start)
            #expect(slot.selection.members.allSatisfy { $0.isFree(in: occupied) })
            #expect(slot.work.duration == Double(finder.footprint.workMinutes) * 60)
            #expect(finder.isAnyHour || finder.calendar.objection(to: slot.work) == nil)
        }
    }

    @Test func aVisitOverTheClockChangeTakesItsFullTime() throws {
        let finder = SlotFinder(
            calendar: try weekdayCalendar(), isAnyHour: true, footprint: Footprint(workMinutes: 120))
        let slot = try #require(
            finder.slot(
                at: try instant("2027-03-14T06:30:00Z"),
                groups: [CandidateGroup(name: "crew", members: [candidate("A")])]))
        #expect(slot.work.duration == 7200)
        #expect(finder.calendar.clock.text(slot.work) == "2027-03-14 01:30 EST to 04:30 EDT")
    }

    @Test func buffersMayTouchButNotOverlap() throws {
        let busy = try interval("2027-03-16T12:00:00Z", "2027-03-16T14:00:00Z")
        let finder = SlotFinder(
            calendar: try weekdayCalendar(), isAnyHour: false,
            footprint: Footprint(workMinutes: 60, bufferBeforeMinutes: 15, bufferAfterMinutes: 15), stepMinutes: 15)
        let groups = [CandidateGroup(name: "crew", members: [candidate("A", busy: [busy])])]
        #expect(finder.slot(at: try instant("2027-03-16T14:15:00Z"), groups: groups) != nil)
        #expect(finder.slot(at: try instant("2027-03-16T14:14:00Z"), groups: groups) == nil)
        let window = try interval("2027-03-16T11:00:00Z", "2027-03-17T00:00:00Z")
        let first = finder.slots(startingIn: window, groups: groups, limit: 1).first
        #expect(first?.work.start == (try instant("2027-03-16T14:15:00Z")))
    }

    @Test func aGroupWithoutMembersHasNoSlots() throws {
        let finder = SlotFinder(
            calendar: try weekdayCalendar(), isAnyHour: false, footprint: Footprint(workMinutes: 60))
        let groups = [
            CandidateGroup(name: "crew", members: [candidate("A")]), CandidateGroup(name: "paver", members: []),
        ]
        let window = try interval("2027-03-01T00:00:00Z", "2027-06-01T00:00:00Z")
        #expect(finder.slots(startingIn: window, groups: groups, limit: 5).isEmpty)
        #expect(finder.slotsBackwards(startingIn: window, groups: groups, limit: 5).isEmpty)
    }
}

@Suite struct SelectionTests {
    private let wanted = Interval(
        start: Date(timeIntervalSince1970: 1_805_000_000), end: Date(timeIntervalSince1970: 1_805_003_600))

    @Test func theLeastBusyOfTheWeekGoesThenTheNameDecides() {
        let group = CandidateGroup(
            name: "crew",
            members: [candidate("C", loadMinutes: 30), candidate("B"), candidate("A"), candidate("D", preference: 0)])
        #expect(group.members.map(\.assignee.name) == ["D", "A", "B", "C"])
        #expect([group].selection(in: wanted)?.members.map(\.assignee.name) == ["D"])
        #expect(group.only(candidate("B").assignee.id).members.map(\.assignee.name) == ["B"])
    }

    @Test func whoTouchesTheWantedTimeIsFree() {
        let before = Interval(start: wanted.start - 60, end: wanted.start)
        let after = Interval(start: wanted.end, end: wanted.end + 60)
        #expect(candidate("A", busy: [after, before]).isFree(in: wanted))
        #expect(!candidate("A", busy: [Interval(start: wanted.end - 1, end: wanted.end)]).isFree(in: wanted))
    }

    @Test func conflictsSayWhoIsTakenAndWhen() throws {
        let clock = try newYork()
        let wanted = try interval("2027-03-16T13:00:00Z", "2027-03-16T15:00:00Z")
        let taken = try interval("2027-03-16T12:00:00Z", "2027-03-16T18:30:00Z")
        let crews = CandidateGroup(name: "crew", members: [candidate("Crew North", busy: [taken])])
        let pavers = CandidateGroup(name: "paver", members: [candidate("Paver 1")])
        let conflicts = [crews, pavers].conflicts(in: wanted, clock: clock)
        #expect(conflicts.map(\.reason) == ["Crew North is taken 08:00-14:30 EDT"])
        #expect(conflicts[0].resource == candidate("Crew North").assignee.id)
        let fleet = CandidateGroup(name: "truck", members: (0..<50).map { candidate("Truck \($0)", busy: [taken]) })
        #expect([fleet].conflicts(in: wanted, clock: clock).count == 20)
    }
}

@Suite struct AlternativeSearchTests {
    private func search(_ leads: [Candidate], support: [CandidateGroup] = []) throws -> AlternativeSearch {
        AlternativeSearch(
            finder: SlotFinder(
                calendar: try weekdayCalendar(), isAnyHour: false,
                footprint: Footprint(workMinutes: 360, bufferBeforeMinutes: 30, bufferAfterMinutes: 30)),
            leads: CandidateGroup(name: "crew", members: leads), support: support,
            window: try interval("2027-03-12T12:00:00Z", "2027-03-26T00:00:00Z"))
    }

    @Test func theSameTimeWithAnotherCrewComesFirst() throws {
        let taken = try interval("2027-03-16T12:00:00Z", "2027-03-16T20:00:00Z")
        let wanted = try instant("2027-03-16T13:00:00Z")
        let found = try search([
            candidate("North", busy: [taken]), candidate("South", loadMinutes: 60), candidate("West"),
        ]).alternatives(to: wanted)
        #expect(found.count == 5)
        #expect(found.prefix(2).map(\.resourceName) == ["West", "South"])
        #expect(found.prefix(2).allSatisfy { $0.startsAt == wanted })
        // Then the nearest times, the earlier of two that are as near, each time once.
        #expect(
            found.dropFirst(2).map(\.startsAt)
                == [
                    try instant("2027-03-16T12:30:00Z"), try instant("2027-03-16T13:30:00Z"),
                    try instant("2027-03-16T12:00:00Z"),
                ])
    }

    @Test(arguments: clockChanges, UInt64(1)...20)
    func everyAlternativeIsUsable(change: (from: String, to: String), seed: UInt64) throws {
        var generator = SeededGenerator(state: seed)
        let window = Interval(start: try instant(change.from), end: try instant(change.to))
        func busy() -> [Interval] {
            (0..<12).map { _ in
                let start = window.start + Double(Int.random(in: 0...20000, using: &generator)) * 60
                return Interval(start: start, end: start + Double(Int.random(in: 60...1200, using: &generator)) * 60)
            }
        }
        let leads = ["North", "South"].map { candidate($0, busy: merged(busy())) }
        let support = [CandidateGroup(name: "paver", members: [candidate("Paver", busy: merged(busy()))])]
        var search = try search(leads, support: support)
        search.window = window
        let wanted = window.start + Double(Int.random(in: 0...1200, using: &generator)) * 1800
        let found = search.alternatives(to: wanted)
        #expect(found == search.alternatives(to: wanted))
        #expect(found.count <= 5)
        #expect(Set(found).count == found.count)
        for alternative in found {
            let lead = try #require(leads.first { $0.assignee.id == alternative.resource })
            let occupied = search.finder.footprint.occupied(from: alternative.startsAt)
            #expect(lead.isFree(in: occupied) && support[0].free(in: occupied) != nil)
            #expect(window.start <= alternative.startsAt && alternative.startsAt < window.end)
            let work = Interval(start: alternative.startsAt, end: alternative.endsAt)
            #expect(search.finder.calendar.objection(to: work) == nil)
        }
    }

    private func merged(_ busy: [Interval]) -> [Interval] {
        busy.sorted().reduce(into: []) { sum, next in
            if let last = sum.last, next.start <= last.end {
                sum[sum.count - 1].end = max(last.end, next.end)
            } else {
                sum.append(next)
            }
        }
    }
}
