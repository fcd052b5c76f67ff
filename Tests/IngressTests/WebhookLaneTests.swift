import AMQP
import Foundation
import Messaging
import TestSupport
import Testing
import Traces

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

    /// Answered on the loop or by the task: the ledger hears of it before the sender does, and of nothing else.
    @Test(.timeLimit(.minutes(1)))
    func whatTheBrokerConfirmedIsNotedBeforeItsAnswer() async throws {
        try await withIngress { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                let now = ingress.clock.now
                ingress.broker.hold()
                try await connection.send(Self.webhook("a", at: now))
                await ingress.broker.wait { $0.heldCount > 0 }
                #expect(ingress.broker.noted.isEmpty, "nothing is accepted before its confirm")
                ingress.broker.release()
                #expect(await connection.receive(until: "HTTP/1.1 202"))
                #expect(ingress.broker.noted.map(\.routingKey) == ["calendly.a"])
                try await connection.send(
                    Self.webhook("b", at: now, headers: "Expect: 100-continue\r\nX-Request-Id: of-the-task\r\n"))
                #expect(await connection.receive(until: "of-the-task"))
                #expect(ingress.broker.noted == ingress.broker.messages)
                ingress.broker.failure = .unavailable
                try await connection.send(Self.webhook("c", at: now, headers: "X-Request-Id: of-the-spool\r\n"))
                #expect(await connection.receive(until: "of-the-spool"))
                #expect(ingress.broker.noted.map(\.routingKey) == ["calendly.a", "calendly.b"])
                #expect(await ingress.operations.spooled.map(\.routingKey) == ["calendly.c"])
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aMessageWhoseSenderHasGoneIsNotedAllTheSame() async throws {
        try await withIngress { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                ingress.broker.hold()
                try await connection.send(Self.webhook("a", at: ingress.clock.now))
                await ingress.broker.wait { $0.heldCount > 0 }
            }
            ingress.broker.release()
            while ingress.broker.noted.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
            #expect(ingress.broker.noted == ingress.broker.messages)
        }
    }

    /// The span of the request is the task's affair or the lane's; nobody can tell which from outside.
    @Test(.timeLimit(.minutes(1)), arguments: ["", "Expect: 100-continue\r\n"])
    func aRefusedOrSpooledWebhookEndsItsSpans(headers: String) async throws {
        let collector = SpanCollector.shared
        try await withIngress { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                let trace = TraceContext.root(isSampled: true)
                let headers = headers + "traceparent: \(trace.traceParent)\r\n"
                ingress.broker.failure = .unavailable
                try await connection.send(
                    Self.webhook("a", at: ingress.clock.now, headers: headers + "X-Request-Id: spooled\r\n"))
                #expect(await connection.receive(until: "spooled"))
                ingress.broker.failure = .overloaded
                try await connection.send(
                    Self.webhook("b", at: ingress.clock.now, headers: headers + "X-Request-Id: refused\r\n"))
                #expect(await connection.receive(until: "refused"))
                let requests = collector.spans(of: trace.traceID).filter { $0.kind == .server }
                #expect(requests.map { $0.attributes["http.response.status_code"] } == [202, 503])
                #expect(requests.map(\.failure) == [nil, "answered 503"])
                #expect(requests.map { $0.attributes["http.request_id"] } == ["spooled", "refused"])
                let publishes = collector.spans(of: trace.traceID).filter { $0.kind == .producer }
                #expect(publishes.count == 2 && publishes.allSatisfy { $0.failure != nil })
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
