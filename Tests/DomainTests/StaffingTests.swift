import Domain
import Foundation
import Testing

@Suite struct StaffingTests {
    private static func abilities(_ skills: [String] = [], _ proofs: [Certification] = []) throws -> Abilities {
        Abilities(skills: Set(skills), certifications: proofs, clock: try newYork())
    }

    private static func member(
        _ name: String, _ skills: [String] = [], _ proofs: [Certification] = [], away: [Interval] = []
    ) throws -> Member {
        Member(name: name, abilities: try abilities(skills, proofs), away: away)
    }

    private static let day = Result { try interval("2027-03-16T04:00:00Z", "2027-03-17T04:00:00Z") }

    @Test func aSkillThatNobodyHasRulesACrewOut() throws {
        let crew = Staffing(own: try Self.abilities(["asphalt"]), members: [try Self.member("A", ["milling"])])
        #expect(crew.objection(to: Demands(skills: ["asphalt", "milling"])) == nil)
        let objection = try #require(crew.objection(to: Demands(skills: ["asphalt", "cdl", "concrete"])))
        #expect(objection.code == "skill_missing" && objection.words == "lacks the skills cdl and concrete")
    }

    @Test func aCrewThatIsTooSmallIsRuledOutAndOneOfUnknownSizeIsNot() throws {
        let demands = Demands(crewSize: 2)
        let alone = Staffing(own: try Self.abilities(), members: [try Self.member("A")])
        #expect(alone.objection(to: demands)?.code == "crew_too_small")
        #expect(alone.objection(to: demands)?.words == "has 1 person, 2 are needed")
        #expect(Staffing(own: try Self.abilities()).objection(to: demands) == nil)
    }

    @Test func aCertificateCountsUntilTheEndOfItsLastDayInItsOwnZone() throws {
        let proof = Certification(name: "cdl", number: "OH-1", expiresOn: LocalDay("2027-03-15"))
        let crew = Staffing(own: try Self.abilities(["cdl"], [proof]))
        let window = try interval("2027-03-15T12:00:00Z", "2027-03-17T12:00:00Z")
        let refusals = crew.refusals(of: Demands(skills: ["cdl"]), in: window)
        // Midnight in New York, on daylight saving time. The mere word does not help once the paper has expired.
        #expect(refusals.map(\.during) == [Interval(start: try instant("2027-03-16T04:00:00Z"), end: window.end)])
        #expect(
            refusals.first?.reason == "has no valid certificate for cdl: the last one OH-1 expired on 2027-03-15")
        #expect(crew.objection(to: Demands(skills: ["cdl"])) == nil, "it has it at other times")
    }

    @Test func theLastOfSeveralCertificatesCounts() throws {
        let proofs = [
            Certification(name: "cdl", expiresOn: LocalDay("2029-01-01")),
            Certification(name: "cdl", expiresOn: LocalDay("2027-01-01")),
        ]
        let window = try Self.day.get()
        let crew = Staffing(own: try Self.abilities([], proofs))
        #expect(crew.refusals(of: Demands(skills: ["cdl"]), in: window).isEmpty)
        let endless = Staffing(own: try Self.abilities([], [Certification(name: "cdl")] + proofs))
        #expect(endless.own.span(of: "cdl") == .always)
    }

    @Test func aSkillIsThereWhileSomebodyWhoHasItIs() throws {
        let (morning, late) = (
            try interval("2027-03-16T04:00:00Z", "2027-03-16T16:00:00Z"),
            try interval("2027-03-16T14:00:00Z", "2027-03-17T04:00:00Z")
        )
        let crew = Staffing(
            own: try Self.abilities(),
            members: [
                try Self.member("A", ["cdl"], away: [morning]), try Self.member("B", ["cdl"], away: [late]),
                try Self.member("C"),
            ])
        let refusals = crew.refusals(of: Demands(skills: ["cdl"]), in: try Self.day.get())
        #expect(refusals.map(\.during) == [try interval("2027-03-16T14:00:00Z", "2027-03-16T16:00:00Z")])
        #expect(refusals.first?.reason == "has nobody there with the skill cdl")
    }

    @Test func aCrewIsTooSmallWhileItsPeopleAreAway() throws {
        let off = try interval("2027-03-16T12:00:00Z", "2027-03-16T16:00:00Z")
        let crew = Staffing(
            own: try Self.abilities(),
            members: [try Self.member("A", away: [off]), try Self.member("B"), try Self.member("C")])
        let day = try Self.day.get()
        #expect(crew.refusals(of: Demands(crewSize: 2), in: day).isEmpty)
        let refusals = crew.refusals(of: Demands(crewSize: 3), in: day)
        #expect(refusals.map(\.during) == [off])
        #expect(refusals.first?.reason == "has 2 of 3 people there, 3 are needed")
    }
}

@Suite struct RefusalTests {
    private static func shifted(_ name: String) throws -> Candidate {
        var candidate = candidate(name)
        candidate.buffers = Candidate.Buffers(before: 1_800, after: 1_800)
        // 08:00-12:00 and 12:20-16:00 in New York.
        candidate.refusals = [
            Refusal(during: try interval("2027-03-15T20:00:00Z", "2027-03-16T12:00:00Z"), reason: "does not work"),
            Refusal(during: try interval("2027-03-16T16:00:00Z", "2027-03-16T16:20:00Z"), reason: "does not work"),
            Refusal(during: try interval("2027-03-16T20:00:00Z", "2027-03-17T12:00:00Z"), reason: "does not work"),
        ]
        return candidate
    }

    @Test func shiftsAreAboutWorkAndNotAboutTravel() throws {
        let candidate = try Self.shifted("A")
        #expect(candidate.isFree(in: try interval("2027-03-16T11:30:00Z", "2027-03-16T16:30:00Z")))
        #expect(!candidate.isFree(in: try interval("2027-03-16T11:29:00Z", "2027-03-16T16:00:00Z")))
        // A break that is shorter than the buffers is a break all the same.
        #expect(!candidate.isFree(in: try interval("2027-03-16T15:00:00Z", "2027-03-16T17:30:00Z")))
    }

    @Test func timeOffIsAboutTravelToo() throws {
        var candidate = try Self.shifted("A")
        candidate.refusals = [
            Refusal(
                during: try interval("2027-03-16T12:00:00Z", "2027-03-16T13:00:00Z"), countsBuffers: true,
                reason: "is off (dentist)", tellsTime: true)
        ]
        let wanted = try interval("2027-03-16T12:59:00Z", "2027-03-16T16:00:00Z")
        let group = CandidateGroup(name: "crew", members: [candidate])
        #expect(
            [group].conflicts(in: wanted, clock: try newYork()).map(\.reason) == [
                "A is off (dentist) 08:00-09:00 EDT"
            ])
        #expect(candidate.isFree(in: try interval("2027-03-16T13:00:00Z", "2027-03-16T16:00:00Z")))
    }

    @Test func theFirstRuleThatFailsIsTold() throws {
        var taken = candidate("Taken", busy: [try interval("2027-03-16T12:00:00Z", "2027-03-16T13:00:00Z")])
        let free = taken
        taken.refusals = try Self.shifted("x").refusals
        let group = CandidateGroup(
            name: "crew", members: [taken],
            rejected: [.init(assignee: candidate("Out").assignee, reason: "Out lacks the skill milling")])
        let wanted = try interval("2027-03-16T10:00:00Z", "2027-03-16T14:00:00Z")
        #expect(
            [group].conflicts(in: wanted, clock: try newYork()).map(\.reason) == [
                "Taken does not work", "Out lacks the skill milling",
            ])
        #expect(
            [CandidateGroup(name: "crew", members: [free])].conflicts(in: wanted, clock: try newYork()).map(\.reason)
                == ["Taken is taken 08:00-09:00 EDT"])
    }

    /// The search jumps over what is in the way; looking at every half hour must find the same times.
    @Test(arguments: 0..<20)
    func jumpingFindsWhatLookingEverywhereFinds(seed: Int) throws {
        var random = SeededGenerator(state: UInt64(seed))
        let clock = try newYork()
        let change = clockChanges[seed % 2]
        let window = try interval(change.from, change.to)
        func stretch(_ hours: ClosedRange<Int>) -> Interval {
            let start = window.start + Double(Int.random(in: 0..<Int(window.duration / 900), using: &random)) * 900
            return Interval(start: start, end: start + Double(Int.random(in: hours, using: &random)) * 3_600)
        }
        let footprint = Footprint(
            workMinutes: [60, 90, 360].randomElement(using: &random) ?? 60, bufferBeforeMinutes: 30,
            bufferAfterMinutes: 15)
        let groups = (0..<2).map { group in
            CandidateGroup(
                name: "group \(group)",
                members: (0..<3).map { index in
                    var member = candidate("\(group)-\(index)", busy: (0..<10).map { _ in stretch(1...12) }.merged())
                    member.buffers = footprint.buffers
                    let shifts = Shifts(
                        clock: clock,
                        shifts: (1...5).map {
                            Shift(
                                weekday: $0, from: LocalTime(hour: 6 + index) ?? .midnight,
                                to: LocalTime(hour: 13 + index, minute: 20) ?? .midnight)
                        })
                    member.refusals =
                        (0..<3).map { _ in Refusal(during: stretch(8...60), countsBuffers: true, reason: "is off") }
                        + shifts.off(in: footprint.reach(of: window)).map {
                            Refusal(during: $0, reason: "does not work")
                        }
                    return member
                })
        }
        let finder = SlotFinder(calendar: try weekdayCalendar(), isAnyHour: false, footprint: footprint)
        let everywhere = finder.calendar.openings(from: window.start, to: window.end).flatMap { opening in
            stride(from: opening.start, to: opening.end, by: 1_800).filter { start in
                start >= window.start && start < window.end && opening.contains(footprint.work(from: start))
                    && groups.selection(in: footprint.occupied(from: start)) != nil
            }
        }
        let found = finder.slots(startingIn: window, groups: groups, limit: .max).map(\.work.start)
        #expect(found == everywhere)
        #expect(
            finder.slotsBackwards(startingIn: window, groups: groups, limit: 1_000).map(\.work.start)
                == everywhere.reversed())
        for start in found {
            let selection = try #require(groups.selection(in: footprint.occupied(from: start)))
            #expect(selection.members.allSatisfy { $0.firstRefusal(of: footprint.occupied(from: start)) == nil })
        }
    }
}
