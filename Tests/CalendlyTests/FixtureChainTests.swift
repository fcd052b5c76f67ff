import Calendly
import Domain
import TestSupport
import Testing

/// The stored deliveries, each three times and in both orders of the reschedule pair.
@Suite struct FixtureChainTests {
    @Test func theFixturesEndInTheSameConsultationsHoweverTheyArrive() throws {
        let bodies = try CalendlyFixture.deliveries().map(\.body)
        func ledger(_ bodies: [[UInt8]]) throws -> MemoryLedger {
            var ledger = MemoryLedger()
            for body in bodies { try ledger.deliver(body) }
            return ledger
        }
        let reference = try ledger(bodies)
        #expect(reference.standing.count == 9)
        #expect(
            reference.standing.map(\.projection.state.rawValue).sorted() == [
                "booked", "booked", "booked", "booked", "booked", "booked", "canceled", "canceled", "no_show",
            ])
        for _ in 0..<40 {
            #expect(try ledger((bodies + bodies + bodies).shuffled()).outcome == reference.outcome)
        }
        var swapped = bodies
        swapped.swapAt(4, 5)
        #expect(try ledger(swapped).outcome == reference.outcome)
    }
}
