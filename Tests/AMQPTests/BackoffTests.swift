import AMQP
import Testing

@Suite struct BackoffTests {
    @Test(arguments: [(0, 100), (1, 200), (2, 400), (5, 3_200), (6, 5_000), (40, 5_000)])
    func windowDoublesUntilTheCap(failures: Int, milliseconds: Int) {
        let backoff = Backoff(base: .milliseconds(100), cap: .seconds(5))
        #expect(backoff.window(failures) == .milliseconds(milliseconds))
    }

    @Test func delayLiesBetweenTheFloorAndTheWindow() {
        let backoff = Backoff(base: .milliseconds(100), cap: .seconds(5))
        #expect(backoff.delay(3, fraction: 0) == .milliseconds(100))
        #expect(backoff.delay(3, fraction: 1) == .milliseconds(800))
        for _ in 0..<100 { #expect((.milliseconds(100) ... .milliseconds(800)).contains(backoff.delay(3))) }
    }

    @Test func capBelowTheBaseIsRaisedToIt() {
        #expect(Backoff(base: .seconds(2), cap: .seconds(1)).window(9) == .seconds(2))
    }
}
