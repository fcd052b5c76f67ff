/// Chooses whose turn it is, for each of several visits: by preference, then by who has least to do, then by name.
///
/// It does not need everybody's calendar. It names those whom it would send, is told which of them are taken, and names
/// others. Visits are served in their order, and an earlier one stands in the way of a later one that overlaps it, so the
/// same input gives the same answer.
package struct Rota: Sendable {
    /// A visit that somebody has to go to.
    package struct Visit: Hashable, Sendable {
        /// Buffers included.
        package var occupied: Interval
        /// Seconds that each candidate has to do already; the least busy goes first.
        package var loads: [Int]
        /// Goes before everything else: the lowest first.
        package var preferences: [Int]

        /// - Parameters: the numbers in the order of the candidates.
        package init(occupied: Interval, loads: [Int], preferences: [Int]) {
            self.occupied = occupied
            self.loads = loads
            self.preferences = preferences
        }
    }

    /// Whether a candidate is free for a visit, both by their places.
    package struct Question: Hashable, Sendable {
        package var visit: Int
        package var candidate: Int

        package init(visit: Int, candidate: Int) {
            self.visit = visit
            self.candidate = candidate
        }
    }

    private enum Knowledge: Sendable { case unknown, free, taken }

    private let count: Int
    private let visits: [Visit]
    private var knowledge: [[Knowledge]]

    /// - Parameter candidates: how many there are; of two who are equal otherwise the one of the lower place goes.
    package init(candidates count: Int, visits: [Visit]) {
        precondition(
            visits.allSatisfy { $0.loads.count == count && $0.preferences.count == count },
            "each visit has a load and a preference for each candidate")
        self.count = count
        self.visits = visits
        knowledge = visits.map { _ in Array(repeating: .unknown, count: count) }
    }

    /// Who goes, as far as is known: for each visit the place of a candidate, or nil where all are taken.
    ///
    /// Candidates of whom nothing is known count as free, so it is final once `questions` has nothing to ask.
    package var choices: [Int?] { choose().map(\.choice) }

    /// What has to be known before the choices are final: the candidates chosen, and for each visit some who would be next.
    ///
    /// - Parameter spares: how many of these.
    package func questions(spares: Int) -> [Question] {
        var questions: [Question] = []
        for (visit, result) in choose(spares: spares).enumerated() {
            guard let choice = result.choice, knowledge[visit][choice] == .unknown else { continue }
            questions.append(Question(visit: visit, candidate: choice))
            questions += result.spares.map { Question(visit: visit, candidate: $0) }
        }
        return questions
    }

    /// Takes note of answers.
    package mutating func learn(_ questions: [Question], taken: Set<Question>) {
        for question in questions {
            knowledge[question.visit][question.candidate] = taken.contains(question) ? .taken : .free
        }
    }

    /// Forgets all answers, because the world has moved on.
    package mutating func forget() {
        for visit in knowledge.indices { knowledge[visit] = Array(repeating: .unknown, count: count) }
    }

    private func choose(spares: Int = 0) -> [(choice: Int?, spares: [Int])] {
        var results: [(choice: Int?, spares: [Int])] = []
        for (place, visit) in visits.enumerated() {
            // What earlier visits of this set add to each; they count as if they were booked already.
            var loads = visit.loads
            var isInTheWay = Array(repeating: false, count: count)
            for (earlier, result) in results.enumerated() {
                guard let choice = result.choice else { continue }
                loads[choice] += Int(visits[earlier].occupied.duration)
                if visits[earlier].occupied.overlaps(visit.occupied) { isInTheWay[choice] = true }
            }
            var best: [Int] = []
            for candidate in 0..<count where !isInTheWay[candidate] && knowledge[place][candidate] != .taken {
                let rank = (visit.preferences[candidate], loads[candidate])
                let position = best.firstIndex { rank < (visit.preferences[$0], loads[$0]) } ?? best.count
                guard position <= spares else { continue }
                best.insert(candidate, at: position)
                if best.count > spares + 1 { best.removeLast() }
            }
            results.append(
                (best.first, best.dropFirst().filter { knowledge[place][$0] == .unknown }))
        }
        return results
    }
}
