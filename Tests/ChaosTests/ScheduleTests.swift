import Chaos
import Testing

@Suite struct ScheduleTests {
    @Test(arguments: Scenario.all.map(\.name))
    func theSameSeedGivesTheSameFaults(name: String) throws {
        let scenario = try #require(Scenario.named(name))
        func texts(_ seed: UInt64) -> [String] {
            scenario.faults(seed: seed, duration: .seconds(120)).map { "\($0.at) \($0.text)" }
        }
        #expect(!texts(1).isEmpty)
        #expect(texts(1) == texts(1))
        #expect(texts(1) != texts(2))
    }
}
