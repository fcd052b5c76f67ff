import Foundation
import Messaging
import NotificationWorker
import Persistence
import Synchronization
import TestSupport
import Testing
import Transport
import WorkerRuntime

/// What opens the mail server's breaker, and what does not.
@Suite(.timeLimit(.minutes(2))) struct MailServerBreakerTests {
    private typealias Script = @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action?

    /// Opens at the third failure in a row and then rests for long.
    private static let policy = CircuitBreaker.Policy(failuresToOpen: 3, firstPause: .seconds(3_600))

    /// Handles one message after another, each to its own recipient.
    private func send(
        _ count: Int, by process: Desk.Process, of desk: Desk
    ) async throws -> [Outcome] {
        var outcomes: [Outcome] = []
        for sequence in 1...count {
            let message = try await desk.planOne(
                to: "person\(sequence)@example.com", sequence: sequence, by: process)
            outcomes.append(try await process.handle(message))
        }
        return outcomes
    }

    @Test(arguments: ["550 5.1.1 no such user", "552 5.3.4 too big", "450 4.2.1 mailbox busy", "452 4.2.2 full"])
    func aRefusalOfOneRecipientIsAnAnswer(reply: String) async throws {
        let script: Script = { $0.moment == .recipient ? .reply(reply) : nil }
        try await Desk.open(script: script) { desk in
            let process = try desk.process(breaker: Self.policy)
            let outcomes = try await send(6, by: process, of: desk)
            #expect(outcomes.allSatisfy { !$0.isRelease })
            #expect(process.mailServer.report.state == "closed" && process.mailServer.report.failures == 0)
        }
    }

    @Test func aGreetingOf421OpensItAndSpendsNothing() async throws {
        let script: Script = { $0.moment == .greeting ? .replyAndClose("421 4.3.2 closing for now") : nil }
        try await Desk.open(script: script) { desk in
            let process = try desk.process(breaker: Self.policy)
            let outcomes = try await send(6, by: process, of: desk)
            #expect(outcomes.allSatisfy { $0.isRelease })
            let report = process.mailServer.report
            #expect(report.state == "open" && report.failures == 3 && report.errorCode == "smtp.421")
            // Open, it is left alone.
            #expect(desk.mail.connectionCount == 3)
        }
    }

    /// In the middle of a session one message may be to blame, so it pays until the breaker knows better.
    @Test func a421InASessionSpendsAttemptsOnlyUntilItOpens() async throws {
        let script: Script = { $0.moment == .recipient ? .replyAndClose("421 4.7.0 too many errors") : nil }
        try await Desk.open(script: script) { desk in
            let process = try desk.process(breaker: Self.policy)
            let outcomes = try await send(5, by: process, of: desk)
            #expect(outcomes.map(\.retryCode) == ["smtp.421", "smtp.421", nil, nil, nil])
            #expect(outcomes.suffix(3).allSatisfy { $0.isRelease })
            #expect(process.mailServer.report.state == "open")
        }
    }

    @Test func nobodyListeningOpensItThoughNothingEverSucceeded() async throws {
        try await Desk.open { desk in
            let port = try ScriptedServer.closedPort()
            let process = try desk.process(
                smtpURL: "smtp://127.0.0.1:\(port)?starttls=none", breaker: Self.policy)
            let outcomes = try await send(4, by: process, of: desk)
            #expect(outcomes.allSatisfy { $0.isRelease })
            #expect(process.mailServer.report.state == "open")
            #expect(process.mailServer.report.errorCode == "smtp.connect")
        }
    }

    @Test func theTrialIsOneMailAndItsSuccessLetsTheOthersGo() async throws {
        let isAway = Mutex(true)
        let gate = Gate()
        let script: Script = { event in
            if isAway.withLock({ $0 }) { return event.moment == .greeting ? .replyAndClose("421 later") : nil }
            if event.moment == .message { gate.wait() }
            return nil
        }
        try await Desk.open(script: script) { desk in
            let policy = CircuitBreaker.Policy(failuresToOpen: 3, firstPause: .milliseconds(50))
            let process = try desk.process(breaker: policy)
            _ = try await send(3, by: process, of: desk)
            let late = try await desk.planOne(to: "late@example.com", sequence: 5, by: process)
            let trial = try await desk.planOne(to: "trial@example.com", sequence: 4, by: process)
            isAway.withLock { $0 = false }
            try await Task.sleep(for: .milliseconds(60))
            async let tried = process.handle(trial)
            await desk.mail.next(.message)
            // The trial is under way: nobody else may.
            #expect(try await process.handle(late).isRelease)
            gate.open()
            #expect(try await tried == .done)
            #expect(process.mailServer.report.state == "closed")
            gate.open()
            #expect(try await process.handle(late) == .done)
        }
    }

    /// A server that takes the connection and says nothing is found out by the handler's time limit.
    @Test func silenceUntilTheTimeLimitIsAFailure() async throws {
        let script: Script = { $0.moment == .greeting ? .silence : nil }
        try await Desk.open(script: script) { desk in
            let process = try desk.process(breaker: Self.policy)
            for sequence in 1...3 {
                let message = try await desk.planOne(
                    to: "person\(sequence)@example.com", sequence: sequence, by: process)
                let handling = Task { try await process.handle(message) }
                try await eventuallyTrue { desk.mail.connectionCount == sequence }
                handling.cancel()
                _ = await handling.result
            }
            #expect(process.mailServer.report.state == "open")
        }
    }
}

/// Waits for something that gives no signal; the test's time limit ends it.
private func eventuallyTrue(_ condition: () -> Bool) async throws {
    while !condition() { try await Task.sleep(for: .milliseconds(5)) }
}
