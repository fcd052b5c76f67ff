import Testing
import WorkerRuntime

/// The retry and dead-letter machinery under seeded faults. A seed that fails can be run again.
@Suite(.timeLimit(.minutes(3))) struct SimulationTests {
    @Test(arguments: 0..<200) func everyMessageEndsOnceAndNothingIsSpentInVain(seed: UInt64) {
        var simulation = Simulation(seed: seed)
        let violations = simulation.run(steps: 2_000)
        #expect(violations == [])
    }

    /// The audit finds what it is there for.
    @Test(arguments: Simulation.Mistake.allCases.filter { $0 != .none })
    func aMistakeThatIsBuiltInIsFound(mistake: Simulation.Mistake) {
        let found = (UInt64(0)..<300).first { seed in
            var simulation = Simulation(seed: seed, mistake: mistake)
            return !simulation.run(steps: 2_000).isEmpty
        }
        #expect(found != nil)
    }

    @Test func aSeedAlwaysPlaysTheSame() {
        var one = Simulation(seed: 7, mistake: .shutdownSpendsAttempt)
        var two = Simulation(seed: 7, mistake: .shutdownSpendsAttempt)
        let (first, second) = (one.run(steps: 2_000), two.run(steps: 2_000))
        #expect(first == second && !first.isEmpty)
    }
}
