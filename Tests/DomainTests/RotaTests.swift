import Domain
import Foundation
import Testing

@Suite struct RotaTests {
    private func interval(_ start: Int, _ end: Int) -> Interval {
        Interval(
            start: Date(timeIntervalSince1970: Double(start) * 3600),
            end: Date(timeIntervalSince1970: Double(end) * 3600))
    }

    private func visit(_ start: Int, _ end: Int, loads: [Int], preferences: [Int]? = nil) -> Rota.Visit {
        Rota.Visit(
            occupied: interval(start, end), loads: loads,
            preferences: preferences ?? loads.map { _ in Candidate.noPreference })
    }

    /// Asks and answers until nothing is open.
    private func settle(_ rota: inout Rota, spares: Int = 1, taken: Set<Rota.Question>) -> [Int?] {
        while case let questions = rota.questions(spares: spares), !questions.isEmpty {
            rota.learn(questions, taken: taken.intersection(questions))
        }
        return rota.choices
    }

    @Test func preferenceGoesFirstThenTheLeastBusyThenThePlace() {
        let rota = Rota(
            candidates: 3,
            visits: [
                visit(0, 1, loads: [9, 3, 3]), visit(2, 3, loads: [9, 9_999_999, 3], preferences: [1, 0, 2]),
            ])
        #expect(rota.choices == [1, 1])
    }

    @Test func anEarlierVisitCountsAsBookedForALaterOne() {
        let rota = Rota(
            candidates: 2,
            visits: [
                visit(0, 2, loads: [0, 0]), visit(1, 3, loads: [0, 0]), visit(1, 2, loads: [0, 0]),
                visit(5, 6, loads: [0, 0]), visit(7, 8, loads: [0, 0]),
            ])
        // The third overlaps both; the fourth goes to the first place, both being equally busy; the fifth evens that out.
        #expect(rota.choices == [0, 1, nil, 0, 1])
    }

    @Test func whoeverIsTakenIsPassedOver() {
        var rota = Rota(candidates: 3, visits: [visit(0, 1, loads: [1, 2, 3])])
        #expect(
            rota.questions(spares: 1) == [
                Rota.Question(visit: 0, candidate: 0), Rota.Question(visit: 0, candidate: 1),
            ])
        let taken: Set = [Rota.Question(visit: 0, candidate: 0), Rota.Question(visit: 0, candidate: 1)]
        #expect(settle(&rota, taken: taken) == [2])
        rota.learn([Rota.Question(visit: 0, candidate: 2)], taken: [Rota.Question(visit: 0, candidate: 2)])
        #expect(rota.choices == [nil] && rota.questions(spares: 3).isEmpty)
        rota.forget()
        #expect(rota.choices == [0])
    }

    @Test func withoutCandidatesNobodyGoesAndNothingIsAsked() {
        let rota = Rota(candidates: 0, visits: [visit(0, 1, loads: [])])
        #expect(rota.choices == [nil] && rota.questions(spares: 5).isEmpty)
    }

    /// One visit after the other, each with everybody's calendar at hand: slow, and plainly right.
    private func oracle(_ visits: [Rota.Visit], _ taken: Set<Rota.Question>) -> [Int?] {
        var choices: [Int?] = []
        for (place, visit) in visits.enumerated() {
            let candidates = visit.loads.indices.filter { candidate in
                !taken.contains(Rota.Question(visit: place, candidate: candidate))
                    && !choices.enumerated().contains {
                        $1 == candidate && visits[$0].occupied.overlaps(visit.occupied)
                    }
            }
            func load(_ candidate: Int) -> Int {
                choices.enumerated().reduce(visit.loads[candidate]) { sum, earlier in
                    sum + (earlier.1 == candidate ? Int(visits[earlier.0].occupied.duration) : 0)
                }
            }
            choices.append(
                candidates.min {
                    (visit.preferences[$0], load($0), $0) < (visit.preferences[$1], load($1), $1)
                })
        }
        return choices
    }

    @Test(arguments: UInt64(1)...60)
    func itEndsAsIfEverybodysCalendarHadBeenRead(seed: UInt64) {
        var generator = SeededGenerator(state: seed)
        let count = Int.random(in: 1...6, using: &generator)
        let visits = (0..<Int.random(in: 1...12, using: &generator)).map { _ in
            let start = Int.random(in: 0...10, using: &generator)
            return visit(
                start, start + Int.random(in: 1...4, using: &generator),
                loads: (0..<count).map { _ in Int.random(in: 0...3, using: &generator) * 3600 },
                preferences: (0..<count).map { _ in Bool.random(using: &generator) ? 0 : Candidate.noPreference })
        }
        var taken: Set<Rota.Question> = []
        for visit in visits.indices {
            for candidate in 0..<count where Int.random(in: 0...2, using: &generator) == 0 {
                taken.insert(Rota.Question(visit: visit, candidate: candidate))
            }
        }
        var rota = Rota(candidates: count, visits: visits)
        #expect(settle(&rota, spares: Int.random(in: 0...3, using: &generator), taken: taken) == oracle(visits, taken))
    }
}
