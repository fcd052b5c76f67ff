import MetricsTestKit
import NIOCore
import Testing
import Transport

@testable import Ingress

/// A peer must not be able to hold a connection for ever, however it goes about it.
@Suite struct SlowPeerTests {
    private static func short(_ configuration: inout IngressConfiguration) {
        configuration.timeouts.header = .milliseconds(300)
        configuration.timeouts.body = .milliseconds(300)
        configuration.timeouts.idle = .milliseconds(300)
    }

    /// Sends pieces with a pause between, until the server closes.
    private static func trickle(_ pieces: [String], forever piece: String, port: Int) async throws -> String {
        try await RawConnection.with(port: port) { connection in
            for piece in pieces { try await connection.send(piece) }
            // The limit of the test is what fails it: an endless trickle must be ended by the server.
            while (try? await connection.send(piece)) != nil { try await Task.sleep(for: .milliseconds(20)) }
            return await connection.receiveToEnd()
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aHeaderThatTricklesInIsCutOff() async throws {
        try await withIngress(Self.short) { ingress in
            let answer = try await Self.trickle(
                ["GET /v1/jobs HTTP/1.1\r\n"], forever: "X: y\r\n", port: ingress.port)
            #expect(!answer.contains("200"))
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aBodyThatTricklesInIsCutOff() async throws {
        try await withIngress(Self.short) { ingress in
            let answer = try await Self.trickle(
                ["POST /webhooks/calendly HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"], forever: "x",
                port: ingress.port)
            #expect(answer.isEmpty)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func silenceIsCutOffBeforeTheFirstRequest() async throws {
        try await withIngress(Self.short) { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                #expect(await connection.receiveToEnd().isEmpty)
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func silenceIsCutOffAfterARequest() async throws {
        try await withIngress {
            $0.timeouts.idle = .milliseconds(300)
        } _: { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                try await connection.send("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(await connection.receiveToEnd().hasPrefix("HTTP/1.1 404"))
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func anAnswerThatTakesLongIsNotCutOff() async throws {
        try await withIngress {
            $0.timeouts.body = .milliseconds(300)
            $0.timeouts.idle = .milliseconds(300)
        } _: { ingress in
            ingress.broker.hold()
            async let response = ingress.webhook(Array(#"{"event":"x"}"#.utf8))
            await ingress.broker.wait { $0.heldCount > 0 }
            try await Task.sleep(for: .milliseconds(700))
            ingress.broker.release()
            #expect(try await response.status == 202)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func headersHaveALimit() async throws {
        try await withIngress { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                let field = "X-Pad: \(String(repeating: "p", count: 1_000))\r\n"
                try? await connection.send(
                    "GET /v1/jobs HTTP/1.1\r\nHost: x\r\n" + String(repeating: field, count: 40) + "\r\n")
                #expect(!(await connection.receiveToEnd()).contains("200 OK"))
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func furtherConnectionsWaitForAFreePlace() async throws {
        try await withIngress {
            $0.limits.maxConnections = 1
        } _: { ingress in
            try await RawConnection.with(port: ingress.port) { first in
                try await first.send("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(await first.receive(until: "not-found"))
                async let second = ingress.send("GET", "/problems/validation")
                try await first.send("GET /nowhere/2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                #expect(await first.receive(until: "/nowhere/2"))
                #expect(ingress.metrics.counterTotal(label: "http.requests") == 2, "the second peer was not served")
                first.finish()
                #expect(try await second.status == 200)
            }
        }
    }

    // MARK: - The state machine

    private static let limits = ConnectionDeadline.Limits(IngressConfiguration.Timeouts())
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    @Test func eachPhaseHasOneDeadline() {
        var deadline = ConnectionDeadline(Self.limits)
        #expect(deadline.instant == nil)
        deadline.connected(at: Self.start)
        #expect(deadline.instant == Self.start + .seconds(10))
        deadline.receivedHead(at: Self.start + .seconds(3))
        #expect(deadline.instant == Self.start + .seconds(18))
        deadline.receivedEnd()
        #expect(deadline.instant == nil, "the step is ours")
        deadline.beganAnswer(at: Self.start + .seconds(30))
        #expect(deadline.instant == Self.start + .seconds(45))
        deadline.finishedAnswer(at: Self.start + .seconds(31))
        #expect(deadline.instant == Self.start + .seconds(91))
    }

    @Test func aRequestSentAheadLeavesTheStepToUs() {
        var deadline = ConnectionDeadline(Self.limits)
        deadline.connected(at: Self.start)
        for _ in 0..<2 {
            deadline.receivedHead(at: Self.start)
            deadline.receivedEnd()
        }
        deadline.beganAnswer(at: Self.start)
        deadline.finishedAnswer(at: Self.start)
        #expect(deadline.instant == nil)
        deadline.beganAnswer(at: Self.start)
        deadline.finishedAnswer(at: Self.start)
        #expect(deadline.instant == Self.start + .seconds(60))
    }

    @Test func anAnswerAheadOfTheBodysEndLeavesLittleTime() {
        var deadline = ConnectionDeadline(Self.limits)
        deadline.receivedHead(at: Self.start)
        deadline.beganAnswer(at: Self.start)
        deadline.finishedAnswer(at: Self.start)
        #expect(deadline.instant == Self.start + .seconds(2))
    }

    @Test func afterNonsenseNothingExtendsTheDeadline() {
        var deadline = ConnectionDeadline(Self.limits)
        deadline.connected(at: Self.start)
        deadline.received(brokenAt: Self.start)
        deadline.beganAnswer(at: Self.start + .seconds(1))
        deadline.finishedAnswer(at: Self.start + .seconds(1))
        deadline.receivedHead(at: Self.start + .seconds(1))
        deadline.receivedEnd()
        #expect(deadline.instant == Self.start + .seconds(2))
    }
}
