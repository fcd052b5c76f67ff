import Domain
import Persistence
import Postgres

/// Takes one of several equals for each of a number of visits: chooses, locks, looks again, inserts; and lets the constraint
/// have the last word.
struct RotaBooking: Sendable {
    /// A visit that somebody has to go to.
    struct Visit: Sendable {
        /// What it held before is given up in the same step, and does not stand in its way.
        var subject: Subject
        /// Whether the subject may hold something already, which it gives up.
        var mayHold: Bool
        /// Buffers included.
        var occupied: Interval
        /// Without buffers, which is what shifts are about.
        var work: Interval
        /// Who goes first, the lowest number first.
        var preferences: [ResourceID: Int]
    }

    let transaction: Transaction
    let people: [Resource]
    let loads: ResourceLoads

    /// Those of whom it is asked at first beside the one chosen; most calendars have room, so it seldom has to ask again.
    private static let spares = 1

    /// Takes somebody for each visit.
    ///
    /// What the subjects held is given up first, so that none of it stands in the way of another; it stays given up where
    /// nobody is found. Others may take what was chosen before the locks are had; then it chooses again. All locks are taken
    /// by one statement, in the order of ids.
    /// - Parameter visits: each for another subject.
    /// - Returns: in the order of the visits; nil where all are taken.
    /// - Throws: `PostgresError`.
    func book(_ visits: [Visit]) async throws -> [Resource?] {
        guard !visits.isEmpty else { return [] }
        let holders = visits.filter(\.mayHold).map(\.subject)
        if !holders.isEmpty { try await Allocations.release(holders, in: transaction) }
        // In the order in which equals are served.
        let people = people.sorted { ($0.assignee.name, $0.id) < ($1.assignee.name, $1.id) }
        var rota = Rota(
            candidates: people.count,
            visits: visits.map { visit in
                let week = ResourceLoads.Week(of: visit.occupied.start)
                return Rota.Visit(
                    occupied: visit.occupied, loads: people.map { loads[week, $0.id] },
                    preferences: people.map { visit.preferences[$0.id] ?? Candidate.noPreference })
            })
        func claim(_ question: Rota.Question) -> Allocations.Claim {
            Allocations.Claim(
                resource: people[question.candidate].id, during: visits[question.visit].occupied,
                subject: visits[question.visit].subject)
        }

        let outOfShift = visits.enumerated().flatMap { place, visit in
            people.indices.filter { !people[$0].shifts.off(in: visit.work).isEmpty }.map {
                Rota.Question(visit: place, candidate: $0)
            }
        }
        rota.learn(outOfShift, taken: Set(outOfShift))
        for _ in 0..<200 {
            var spares = Self.spares
            while case let questions = rota.questions(spares: spares), !questions.isEmpty {
                let taken = try await Allocations.taken(questions.map(claim), in: transaction)
                rota.learn(questions, taken: Set(taken.map { questions[$0] }))
                // Whoever is not lucky at once gets to know about all.
                spares = people.count
            }
            let chosen = rota.choices.enumerated().compactMap { visit, candidate in
                candidate.map { Rota.Question(visit: visit, candidate: $0) }
            }
            guard !chosen.isEmpty else { return visits.map { _ in nil } }
            let claims = chosen.map(claim)
            do {
                try await transaction.savepoint { savepoint in
                    let taken = try await Allocations.taken(claims, isLocking: true, in: savepoint)
                    guard taken.isEmpty else { throw Lost(places: taken) }
                    try await Allocations.insert(claims, in: savepoint)
                }
                return rota.choices.map { $0.map { people[$0] } }
            } catch let lost as Lost {
                rota.learn(lost.places.map { chosen[$0] }, taken: Set(lost.places.map { chosen[$0] }))
            } catch let error as PostgresError where error.isOverlap {
                // Somebody who does not lock was faster. The constraint waited for them to commit.
                rota.forget()
                rota.learn(outOfShift, taken: Set(outOfShift))
            }
        }
        // Resources that are released and taken again all the time could keep it here; it comes back later.
        throw PostgresError(
            .server, "candidates were taken by others 200 times over", sqlState: .serializationFailure)
    }

    /// Some who were free are taken now, by the places of their claims.
    private struct Lost: Error {
        let places: Set<Int>
    }
}
