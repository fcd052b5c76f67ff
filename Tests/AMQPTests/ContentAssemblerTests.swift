import Testing

@testable import AMQP

@Suite struct ContentAssemblerTests {
    private let deliver = Incoming.deliver(
        consumerTag: "c", deliveryTag: 1, isRedelivered: false, exchange: "", routingKey: "k")
    private let properties = BasicProperties(messageID: "m")

    private func run(_ frames: [Incoming]) throws -> [ContentAssembler.Content] {
        var assembler = ContentAssembler(maxBodyBytes: 100)
        return try frames.compactMap { frame in try assembler.accept(frame) }
    }

    @Test func bodyIsJoinedFromItsFrames() throws {
        let contents = try run([deliver, .header(bodySize: 5, properties), .body([1, 2]), .body([3]), .body([4, 5])])
        #expect(contents == [.init(method: deliver, properties: properties, body: [1, 2, 3, 4, 5])])
    }

    @Test func emptyBodyNeedsNoFrame() throws {
        let contents = try run([
            deliver, .header(bodySize: 0, properties), deliver, .header(bodySize: 1, properties), .body([9]),
        ])
        #expect(contents.map(\.body) == [[], [9]])
    }

    @Test func otherFramesInBetweenAreLeftAlone() throws {
        let contents = try run([
            .acknowledge(tag: 1, multiple: false), deliver, .blocked(reason: ""), .header(bodySize: 1, properties),
            .unblocked, .body([1]),
        ])
        #expect(contents.count == 1)
    }

    @Test(arguments: 0..<6) func brokenOrderIsAProtocolViolation(index: Int) {
        let cases: [[Incoming]] = [
            [.header(bodySize: 1, properties)], [.body([1])], [deliver, deliver], [deliver, .body([1])],
            [deliver, .header(bodySize: 1, properties), .body([1, 2])], [deliver, .header(bodySize: 101, properties)],
        ]
        #expect { try run(cases[index]) } throws: { ($0 as? AMQPError)?.code == .protocolViolation }
    }
}
