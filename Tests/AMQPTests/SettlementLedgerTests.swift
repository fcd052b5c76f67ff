import Testing

@testable import AMQP

@Suite struct SettlementLedgerTests {
    typealias Command = SettlementLedger.Command

    private func ledger(_ count: UInt64) -> SettlementLedger {
        var ledger = SettlementLedger()
        for tag in 0..<count { #expect((ledger.deliver(tag + 1)) == true) }
        return ledger
    }

    @Test(
        arguments: [
            ([1], [Command.acknowledge(1, multiple: false)]),
            ([1, 2, 3], [.acknowledge(3, multiple: true)]),
            ([3, 1, 2], [.acknowledge(3, multiple: true)]),
            ([2], [.acknowledge(2, multiple: false)]),
            ([2, 3], [.acknowledge(2, multiple: false), .acknowledge(3, multiple: false)]),
            ([1, 2, 4], [.acknowledge(2, multiple: true), .acknowledge(4, multiple: false)]),
            ([], []),
        ] as [([UInt64], [Command])])
    func acknowledgementsAreJoinedOnlyFromTheOldestOn(tags: [UInt64], commands: [Command]) {
        var ledger = ledger(5)
        for tag in tags { #expect((ledger.settle(tag, .acknowledge)) == true) }
        #expect(ledger.flush() == commands)
        #expect(ledger.flush() == [])
    }

    @Test func refusedOnesDoNotInterruptTheRun() {
        var ledger = ledger(4)
        for (tag, kind) in [(1, .acknowledge), (2, .reject), (3, .requeue), (4, .acknowledge)]
            as [(UInt64, SettlementLedger.Settlement)]
        { #expect((ledger.settle(tag, kind)) == true) }
        #expect(ledger.flush() == [.reject(2), .requeue(3), .acknowledge(4, multiple: true)])
        #expect(ledger.unsettled == 0)
    }

    @Test func multipleNeverCoversWhatIsUnsettled() {
        var ledger = ledger(4)
        #expect((ledger.settle(2, .acknowledge)) == true)
        #expect((ledger.settle(4, .acknowledge)) == true)
        #expect(ledger.flush() == [.acknowledge(2, multiple: false), .acknowledge(4, multiple: false)])
        #expect((ledger.settle(1, .acknowledge)) == true)
        #expect(ledger.flush() == [.acknowledge(1, multiple: false)])
        #expect((ledger.settle(3, .acknowledge)) == true)
        #expect(ledger.flush() == [.acknowledge(3, multiple: false)])
    }

    @Test func secondSettlementIsRefused() {
        var ledger = ledger(2)
        #expect((ledger.settle(1, .acknowledge)) == true)
        #expect((ledger.settle(1, .reject)) == false)
        _ = ledger.flush()
        #expect((ledger.settle(1, .acknowledge)) == false)
        #expect((ledger.settle(3, .acknowledge)) == false)
        #expect((ledger.settle(0, .acknowledge)) == false)
    }

    @Test(arguments: [0, 2, 4] as [UInt64]) func deliveryOutOfOrderIsRefused(tag: UInt64) {
        var ledger = ledger(2)
        #expect((ledger.deliver(tag)) == false)
    }

    /// Whatever the order, the broker is told of each delivery exactly once, and never of an unsettled one.
    @Test func everyDeliveryIsToldOnce() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            var ledger = SettlementLedger()
            var brokerOpen: Set<UInt64> = []
            var open: Set<UInt64> = []
            var last: UInt64 = 0
            for _ in 0..<3_000 {
                switch UInt8.random(in: 0..<10, using: &random) {
                case 0..<5 where open.count < 200:
                    last += 1
                    #expect((ledger.deliver(last)) == true)
                    open.insert(last)
                    brokerOpen.insert(last)
                case 5..<9:
                    guard let tag = open.randomElement(using: &random) else { continue }
                    open.remove(tag)
                    let kind: SettlementLedger.Settlement =
                        tag % 7 == 0 ? .reject : tag % 11 == 0 ? .requeue : .acknowledge
                    #expect((ledger.settle(tag, kind)) == true)
                default:
                    for command in ledger.flush() {
                        let told: Set<UInt64>
                        switch command {
                        case .acknowledge(let tag, let multiple):
                            #expect(brokerOpen.contains(tag))
                            told = multiple ? brokerOpen.filter { $0 <= tag } : [tag]
                        case .reject(let tag), .requeue(let tag):
                            told = [tag]
                        }
                        #expect(told.isSubset(of: brokerOpen))
                        #expect(told.isDisjoint(with: open))
                        brokerOpen.subtract(told)
                    }
                    #expect(brokerOpen == open)
                }
                #expect(ledger.unsettled == open.count)
            }
        }
    }
}
