import AMQP
import Foundation
import Messaging
import TestSupport
import Testing

@testable import Ingress

/// Webhooks are answered beside the task that serves their connection, so order, ends and errors must be kept by hand.
@Suite struct WebhookLaneTests {
    /// A webhook as bytes on the wire.
    private static func webhook(_ event: String, at instant: Date, headers: String = "") -> String {
        let body = #"{"event":"\#(event)"}"#
        let signature = Signing.header(Array(body.utf8), at: instant)
        return "POST /webhooks/calendly HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n"
            + "Calendly-Webhook-Signature: \(signature)\r\n\(headers)\r\n\(body)"
    }

    private static func statuses(_ text: String) -> [String] {
        text.components(separatedBy: "HTTP/1.1 ").dropFirst().map { String($0.prefix(3)) }
    }

    @Test(.timeLimit(.minutes(1)))
    func webhooksAndOtherRequestsOfOneConnectionAreAnsweredInOrder() async throws {
        try await withIngress { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                ingress.broker.hold()
                let now = ingress.clock.now
                try await connection.send(
                    Self.webhook("a", at: now) + "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n" + Self.webhook("b", at: now)
                        + Self.webhook("c", at: now + 86_400, headers: "X-Request-Id: last\r\n")
                        + "GET /problems/validation HTTP/1.1\r\nHost: x\r\n\r\n")
                await ingress.broker.wait { $0.heldCount > 0 }
                #expect(connection.received.isEmpty, "nothing overtakes the webhook that waits for its confirm")
                ingress.broker.release()
                #expect(await connection.receive(until: "HTTP/1.1 200"))
                #expect(Self.statuses(connection.received) == ["202", "404", "202", "202", "200"])
            }
        }
    }

    @Test(
        .timeLimit(.minutes(1)), arguments: ["Connection: close\r\n", "Expect: 100-continue\r\n", "X-Nothing: odd\r\n"])
    func whatTheLaneLeavesToTheTaskIsAnsweredTheSame(headers: String) async throws {
        try await withIngress { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                try await connection.send(Self.webhook("a", at: ingress.clock.now, headers: headers))
                #expect(await connection.receive(until: "HTTP/1.1 202"))
                #expect(ingress.broker.messages.count == 1)
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aPeerThatEndsItsSideStillGetsItsAnswer() async throws {
        try await withIngress { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                ingress.broker.hold()
                try await connection.send(Self.webhook("a", at: ingress.clock.now))
                await ingress.broker.wait { $0.heldCount > 0 }
                connection.finish()
                // The server has no way to say that it has seen the end.
                try await Task.sleep(for: .milliseconds(50))
                ingress.broker.release()
                #expect(Self.statuses(await connection.receiveToEnd()) == ["202"])
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func whatIsNoHTTPIsToldSoAfterTheAnswer() async throws {
        try await withIngress { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                ingress.broker.hold()
                try await connection.send(Self.webhook("a", at: ingress.clock.now) + "this is no request\r\n\r\n")
                await ingress.broker.wait { $0.heldCount > 0 }
                ingress.broker.release()
                #expect(Self.statuses(await connection.receiveToEnd()) == ["202", "400"])
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func whatTheBrokerDoesNotTakeIsSpooledBeforeTheAnswer() async throws {
        try await withIngress { ingress in
            ingress.broker.failure = .unavailable
            try await RawConnection.with(port: ingress.port) { connection in
                let last = Self.webhook("b", at: ingress.clock.now, headers: "X-Request-Id: the-last\r\n")
                try await connection.send(Self.webhook("a", at: ingress.clock.now) + last)
                #expect(await connection.receive(until: "the-last"))
                #expect(Self.statuses(connection.received) == ["202", "202"])
                #expect(await ingress.operations.spooled.map(\.envelope.type.rawValue) == ["calendly.a", "calendly.b"])
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func whoeverSendsOnWithoutWaitingHasOneWebhookInHand() async throws {
        try await withIngress { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                ingress.broker.hold()
                let count = 40
                let one = Self.webhook("a", at: ingress.clock.now)
                let last = Self.webhook("b", at: ingress.clock.now, headers: "X-Request-Id: the-last\r\n")
                try await connection.send(String(repeating: one, count: count - 1) + last)
                await ingress.broker.wait { $0.heldCount > 0 }
                #expect(ingress.broker.heldCount == 1)
                ingress.broker.release()
                #expect(await connection.receive(until: "the-last"))
                #expect(Self.statuses(connection.received) == Array(repeating: "202", count: count))
                #expect(ingress.broker.messages.count == count)
            }
        }
    }

    // MARK: The state machine

    @Test func aRequestIsEitherTheLanesOrPassedOnFromItsHeaderToItsAnswer() {
        var state = WebhookLaneState()
        #expect(state.received(.head(isOurs: true)) == .keep)
        #expect(state.received(.body) == .keep)
        #expect(state.isBusy)
        #expect(state.received(.end) == .answer)
        #expect(state.received(.head(isOurs: true)) == .hold)
        #expect(state.received(.end) == .hold)
        state.answered()
        #expect(!state.isBusy)

        #expect(state.received(.head(isOurs: false)) == .pass)
        #expect(state.received(.end) == .pass)
        #expect(state.received(.head(isOurs: true)) == .pass, "the one before is not answered yet")
        #expect(state.received(.end) == .pass)
        state.wroteAnswer()
        #expect(state.received(.head(isOurs: true)) == .pass, "one is still unanswered")
        state.wroteAnswer()
        #expect(state.received(.body) == .pass, "its end has not come")
        state.wroteAnswer()
        #expect(state.received(.end) == .pass)
        #expect(state.received(.head(isOurs: true)) == .keep)
    }

    @Test func anAnswerBeforeTheEndOfItsRequestLeavesTheRestToTheTask() {
        var state = WebhookLaneState()
        #expect(state.received(.head(isOurs: false)) == .pass)
        state.wroteAnswer()
        #expect(state.received(.body) == .pass)
        #expect(state.received(.end) == .pass)
        #expect(state.received(.head(isOurs: true)) == .keep)
    }
}
