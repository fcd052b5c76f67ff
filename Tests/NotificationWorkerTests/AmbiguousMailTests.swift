import Foundation
import Messaging
import NotificationWorker
import Synchronization
import TestSupport
import Testing
import WorkerRuntime

/// The connection dies after the final dot: nobody knows whether the server has taken the mail.
@Suite(.timeLimit(.minutes(2))) struct AmbiguousMailTests {
    /// Cuts the first connection after the dot.
    private static func cutOnce() -> @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action? {
        let mayCut = Mutex(true)
        return { event in
            guard event.moment == .message else { return nil }
            return mayCut.withLock { mayCut in
                defer { mayCut = false }
                return mayCut ? .reset : nil
            }
        }
    }

    @Test func resendSendsItAgainUnderTheSameMessageID() async throws {
        try await Desk.open(script: Self.cutOnce()) { desk in
            let process = try desk.process(policy: .resend)
            let message = try await desk.planOne(by: process)
            #expect(try await process.handle(message).retryCode == "smtp.ambiguous")
            let row = try await desk.notification()
            #expect(row.status == "planned" && row.isAmbiguous && row.errorCode == "smtp.ambiguous")
            #expect(process.journal.progress(of: row.mailID) == .untouched)

            #expect(try await process.handle(message) == .done)
            #expect(try await desk.notification().status == "sent")
            #expect(try await desk.notification().isAmbiguous)
            let mails = try desk.mails()
            #expect(try mails.map { try $0.header("Message-ID") } == ["<\(row.mailID)>", "<\(row.mailID)>"])
            #expect(mails.map { $0.root.header("X-Neff-Repeat") } == [nil, "possible"])
        }
    }

    @Test func holdLeavesItToAnOperator() async throws {
        try await Desk.open(script: Self.cutOnce()) { desk in
            let process = try desk.process(policy: .hold)
            let message = try await desk.planOne(by: process)
            #expect(try await process.handle(message).deadLetterCode == "smtp.ambiguous")
            let row = try await desk.notification()
            #expect(row.status == "unknown" && row.isAmbiguous && row.sentAt == nil)
            // Whoever gets a copy of the message learns the same and sends nothing.
            #expect(try await desk.process(policy: .hold).handle(message).deadLetterCode == "smtp.ambiguous")
            #expect(desk.mail.messages.count == 1)

            var replay = message
            replay.replayCount = 1
            #expect(try await process.handle(replay) == .done)
            #expect(try await desk.notification().status == "sent")
            #expect(try desk.mails().last?.header("X-Neff-Repeat") == "possible")
        }
    }

    @Test func aConnectionThatDiesBeforeTheDotIsNotAmbiguous() async throws {
        let mayCut = Mutex(2)
        let script: @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action? = { event in
            guard event.moment == .data else { return nil }
            return mayCut.withLock { mayCut in
                mayCut -= 1
                return mayCut >= 0 ? .reset : nil
            }
        }
        try await Desk.open(script: script) { desk in
            let process = try desk.process(policy: .hold)
            let message = try await desk.planOne(by: process)
            var outcome = try await process.handle(message)
            #expect(outcome.retryCode == "smtp.0")
            while case .retry = outcome { outcome = try await process.handle(message) }
            #expect(outcome == .done)
            #expect(try await !desk.notification().isAmbiguous)
            #expect(desk.mail.messages.count == 1)
        }
    }
}
