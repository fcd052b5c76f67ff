import Domain
import Foundation
import Messaging
import NotificationWorker
import Persistence
import Postgres
import Synchronization
import TestSupport
import Testing
import Transport
import WorkerRuntime

@Suite(.timeLimit(.minutes(2))) struct SendingTests {
    @Test func aPlannedNoticeIsSentOnceAndRecorded() async throws {
        try await Desk.open { desk in
            let process = try desk.process()
            let message = try await desk.planOne(by: process)
            #expect(try await process.handle(message) == .done)
            let row = try await desk.notification()
            #expect(row.status == "sent" && row.sentAt == Sample.now && row.reply?.contains("queued as 1") == true)
            #expect(row.attempts == 1 && row.claimedBy == nil && row.errorCode == nil && !row.isAmbiguous)
            #expect(try await desk.isInInbox(message))
            let mails = try desk.mails()
            #expect(mails.count == 1)
            #expect(try mails[0].header("Message-ID") == "<\(row.mailID)>")
            #expect(try mails[0].header("To") == "Ann Example <ann@example.com>")
            #expect(try CalendarReader(mails[0].part("text/calendar").content).text("SEQUENCE") == "1")
            #expect(process.journal.progress(of: row.mailID) == .untouched)
        }
    }

    @Test func furtherDeliveriesSendNothing() async throws {
        try await Desk.open { desk in
            let (one, two) = (try desk.process(), try desk.process())
            let message = try await desk.planOne(by: one)
            _ = try await one.handle(message)
            var replay = message
            replay.replayCount = 1
            for process in [one, two] {
                #expect(try await process.handle(message) == .ignored(reason: "sent before"))
                #expect(try await process.handle(replay) == .ignored(reason: "sent before"))
            }
            #expect(desk.mail.messages.count == 1)
            #expect(try await desk.notification().attempts == 1)
        }
    }

    /// Two processes, and two lanes within each, all with the same message while the server is slow.
    @Test func racingWorkersSendOneMail() async throws {
        let gate = Gate()
        let script: @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action? = { event in
            if event.moment == .message { gate.wait() }
            return nil
        }
        try await Desk.open(script: script) { desk in
            let (one, two) = (try desk.process(), try desk.process())
            let message = try await desk.planOne(by: one)
            async let first = one.handle(message)
            await desk.mail.next(.message)
            for process in [one, two, one, two] {
                #expect(try await process.handle(message).isRelease)
            }
            gate.open()
            #expect(try await first == .done)
            #expect(try await two.handle(message) == .ignored(reason: "sent before"))
            #expect(desk.mail.messages.count == 1)
        }
    }

    @Test func manyNoticesByManyWorkersAreSentOnceEach() async throws {
        try await Desk.open { desk in
            let processes = try (0..<3).map { _ in try desk.process() }
            var messages: [Envelope] = []
            for number in 0..<20 {
                let event = try Sample.consultationEvent {
                    $0.consultation = .make()
                    $0.customer.email = "p\(number)@example.com"
                }
                messages += try await desk.plan(.consultationBooked, event, by: processes[0])
            }
            let all = messages
            // Every message goes to every worker, until none asks for another try.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for process in processes {
                    group.addTask {
                        for message in all.shuffled() {
                            try await process.handleToTheEnd(message)
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await desk.notifications().allSatisfy { $0.status == "sent" && $0.attempts == 1 })
            let recipients = try desk.mails().map { try $0.header("Message-ID") }
            #expect(recipients.count == 20 && Set(recipients).count == 20)
        }
    }

    // MARK: Refusals

    @Test(arguments: [ScriptedSMTPServer.Moment.greeting, .recipient, .message])
    func aTemporaryRefusalIsTriedAgain(_ moment: ScriptedSMTPServer.Moment) async throws {
        let isBusy = Mutex(true)
        let script: @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action? = { event in
            event.moment == moment && isBusy.withLock { $0 } ? .replyAndClose("451 4.3.0 try later") : nil
        }
        try await Desk.open(script: script) { desk in
            let process = try desk.process()
            let message = try await desk.planOne(by: process)
            for attempt in 1...2 {
                let outcome = try await process.handle(message)
                // A greeting is for everybody, and so no message pays for it.
                #expect(moment == .greeting ? outcome.isRelease : outcome.retryCode == "smtp.451")
                let row = try await desk.notification()
                #expect(row.status == "planned" && row.claimedBy == nil && row.attempts == attempt)
                #expect(row.errorCode == "smtp.451" && row.error?.contains("try later") == true && !row.isAmbiguous)
                #expect(process.journal.progress(of: row.mailID) == .untouched)
                #expect(try await !desk.isInInbox(message))
            }
            isBusy.withLock { $0 = false }
            #expect(try await process.handle(message) == .done)
            let row = try await desk.notification()
            #expect(row.status == "sent" && row.attempts == 3 && row.error == nil && row.errorCode == nil)
            #expect(try desk.mails().allSatisfy { $0.root.header("X-Neff-Repeat") == nil })
        }
    }

    @Test(arguments: [ScriptedSMTPServer.Moment.recipient, .message])
    func aRefusalForGoodIsADeadLetterWithTheReply(_ moment: ScriptedSMTPServer.Moment) async throws {
        let refuses = Mutex(true)
        let script: @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action? = { event in
            event.moment == moment && refuses.withLock { $0 } ? .reply("550 5.1.1 no such user ann@example.com") : nil
        }
        try await Desk.open(script: script) { desk in
            let process = try desk.process()
            let message = try await desk.planOne(by: process)
            let outcome = try await process.handle(message)
            guard case .deadLetter(let code, let detail) = outcome else {
                Issue.record("no dead letter: \(outcome)")
                return
            }
            #expect(code == "smtp.550" && detail.contains("550 5.1.1 no such user"))
            #expect(!detail.contains("ann@example.com"))
            let row = try await desk.notification()
            #expect(row.status == "failed" && row.errorCode == "smtp.550" && row.error == detail)
            #expect(try await !desk.isInInbox(message))

            // A process that dies before the dead letter is confirmed must not lose it.
            let again = try await desk.process().handle(message)
            #expect(again == outcome)
            #expect(desk.mail.events.count { $0.moment == .mailFrom } == 1)

            // After a replay it is sent, though the first copy stays what it was.
            refuses.withLock { $0 = false }
            var replay = message
            replay.replayCount = 1
            #expect(try await process.handle(replay) == .done)
            #expect(try await desk.notification().status == "sent")
            #expect(try await process.handle(message) == .ignored(reason: "sent before"))
        }
    }

    @Test func anAddressThatIsNoneIsADeadLetter() async throws {
        try await Desk.open { desk in
            let process = try desk.process()
            let message = try await desk.planOne(to: "ann at example.com", by: process)
            let outcome = try await process.handle(message)
            guard case .deadLetter("mail.invalid", let detail) = outcome else {
                Issue.record("no dead letter: \(outcome)")
                return
            }
            #expect(!detail.contains("ann"))
            #expect(try await desk.notification().status == "failed")
            #expect(desk.mail.connectionCount == 0)
        }
    }

    @Test func aServerThatRefusesUsSpendsNoAttempt() async throws {
        let script: @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action? = { event in
            event.moment == .authentication ? .reply("535 5.7.8 bad credentials") : nil
        }
        try await Desk.open(script: script) { desk in
            let process = try desk.process(smtpURL: desk.mail.url(authenticated: true))
            let message = try await desk.planOne(by: process)
            #expect(try await process.handle(message).isRelease)
            let row = try await desk.notification()
            let detail = try #require(row.error)
            #expect(detail.contains("SMTP_URL") && !detail.contains("secret"))
            #expect(row.status == "planned" && row.errorCode == "smtp.configuration")
            #expect(desk.mail.messages.isEmpty)
        }
    }

    @Test func aServerThatIsAwaySpendsNoAttempt() async throws {
        try await Desk.open { desk in
            let port = try ScriptedServer.closedPort()
            let process = try desk.process(smtpURL: "smtp://127.0.0.1:\(port)?starttls=none")
            let message = try await desk.planOne(by: process)
            #expect(try await process.handle(message).isRelease)
            let row = try await desk.notification()
            #expect(row.status == "planned" && row.errorCode == "smtp.0")
        }
    }

    @Test func anUnknownNotificationIsADeadLetter() async throws {
        try await Desk.open { desk in
            let process = try desk.process()
            let message = try Sample.envelope(.sendNotification, ["notification": NotificationID.make().rawValue])
            #expect(try await process.handle(message).deadLetterCode == "notification.unknown")
            await #expect(throws: DecodingError.self) {
                try await process.handle(Sample.envelope(.sendNotification, ["notification": "job_1"]))
            }
        }
    }

    // MARK: Order

    @Test func anOlderNoticeIsSupersededByANewerOneThatWentFirst() async throws {
        try await Desk.open { desk in
            let process = try desk.process()
            let booked = try await desk.planOne(sequence: 1, by: process)
            let moved = try await desk.planOne(sequence: 2, by: process)
            #expect(try await process.handle(moved) == .done)
            #expect(
                try await process.handle(booked) == .ignored(reason: "a newer notice has gone to the same person"))
            #expect(try await desk.notifications().map(\.status) == ["superseded", "sent"])
            #expect(try await desk.isInInbox(booked))
            #expect(try await process.handle(booked) == .ignored(reason: "a newer notice has gone to the same person"))
            #expect(desk.mail.messages.count == 1)
        }
    }

    @Test func aNewerNoticeThatDidNotGoOrWentToSomebodyElseSupersedesNothing() async throws {
        let script: @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action? = { event in
            event.line.contains("two@") ? .reply("550 5.1.1 no") : nil
        }
        try await Desk.open(script: script) { desk in
            let process = try desk.process()
            let one = try await desk.planOne(to: "one@example.com", sequence: 1, by: process)
            let two = try await desk.planOne(to: "two@example.com", sequence: 1, by: process)
            let three = try await desk.planOne(to: "three@example.com", sequence: 2, by: process)
            let refused = try await desk.planOne(to: "two@example.com", sequence: 2, by: process)
            #expect(try await process.handle(three) == .done)
            #expect(try await process.handle(one) == .done)
            #expect(try await process.handle(refused).deadLetterCode == "smtp.550")
            #expect(try await process.handle(two).deadLetterCode == "smtp.550")
            #expect(try await desk.notifications().map(\.status).contains("superseded") == false)
        }
    }

    /// A booking and its cancellation side by side, as after an outage: whichever is claimed first, the newer arrives last or
    /// alone.
    @Test(arguments: [true, false], [true, false])
    func noticesOfOneSubjectToOnePersonGoOneAfterTheOther(olderIsFirst: Bool, isOneProcess: Bool) async throws {
        let gate = Gate()
        let isFirst = Mutex(true)
        let script: @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action? = { event in
            guard event.moment == .message else { return nil }
            let mustWait = isFirst.withLock { isFirst in
                defer { isFirst = false }
                return isFirst
            }
            if mustWait { gate.wait() }
            return nil
        }
        try await Desk.open(script: script) { desk in
            let one = try desk.process()
            let two = isOneProcess ? one : try desk.process()
            let booked = try await desk.planOne(sequence: 1, by: one)
            let moved = try await desk.planOne(sequence: 2, by: one)
            let (first, second) = olderIsFirst ? (booked, moved) : (moved, booked)
            async let sending = one.handle(first)
            await desk.mail.next(.message)
            #expect(try await two.handle(second).isRelease)
            // Another person is not kept waiting.
            let other = try await desk.planOne(to: "bob@example.com", sequence: 2, by: two)
            #expect(try await two.handle(other) == .done)
            gate.open()
            #expect(try await sending == .done)
            let last = try await two.handle(second)
            let toAnn = try desk.mails().filter { try $0.header("To").contains("ann@") }
            if olderIsFirst {
                #expect(last == .done)
                let sequences = try toAnn.map { try CalendarReader($0.part("text/calendar").content).text("SEQUENCE") }
                #expect(sequences == ["1", "2"])
            } else {
                #expect(last == .ignored(reason: "a newer notice has gone to the same person"))
                #expect(toAnn.count == 1)
            }
        }
    }

    /// The claim was taken over, as from a host that is gone, while its holder was slow; what the server said to that one is
    /// no longer about the notice.
    @Test func whoHasLostItsClaimDoesNotSayWhatBecameOfTheNotice() async throws {
        let gate = Gate()
        let script: @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action? = { event in
            guard event.moment == .message, event.connection == 0 else { return nil }
            gate.wait()
            return .reply("550 5.7.1 no")
        }
        try await Desk.open(script: script) { desk in
            let slow = try desk.process()
            let message = try await desk.planOne(by: slow)
            async let outcome = slow.handle(message)
            await desk.mail.next(.message)
            let other = try desk.process(claimLifetime: .zero, folder: desk.folder + "-of-another-host")
            defer { try? FileManager.default.removeItem(atPath: desk.folder + "-of-another-host") }
            #expect(try await other.handle(message).retryCode == "smtp.ambiguous")
            #expect(try await other.handle(message) == .done)
            gate.open()
            #expect(try await outcome.isRelease)
            #expect(try await slow.handle(message) == .ignored(reason: "sent before"))
            #expect(try await desk.notification().status == "sent")
        }
    }

    // MARK: Cancellation

    /// The runtime's time limit cancels the handler, and it has to see a failure that spends an attempt; a handler that
    /// answered `release` would have the message tried for ever.
    @Test func aSendThatIsCancelledThrowsAndGivesTheRowBack() async throws {
        let script: @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action? = { event in
            event.moment == .recipient ? .silence : nil
        }
        try await Desk.open(script: script) { desk in
            let process = try desk.process()
            let message = try await desk.planOne(by: process)
            let task = Task { try await process.handle(message) }
            await desk.mail.next(.recipient)
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            let row = try await desk.notification()
            #expect(row.status == "planned" && row.claimedBy == nil && row.errorCode == "interrupted")
        }
    }

    @Test func aMailThatWasAcceptedIsRecordedThoughTheTaskIsCancelled() async throws {
        let gate = Gate()
        let script: @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action? = { event in
            if event.moment == .message { gate.wait() }
            return nil
        }
        try await Desk.open(script: script) { desk in
            let worker = try desk.process()
            let message = try await desk.planOne(by: worker)
            let id = try await desk.notification().id
            let task = Task { try await worker.handle(message) }
            await desk.mail.next(.message)
            // The row lock keeps the record waiting until the cancellation has come.
            try await desk.pool.withTransaction { transaction in
                _ = try await transaction.query("select 1 from notifications where id = \(id.rawValue) for update")
                gate.open()
                while worker.journal.progress(of: try await desk.notification().mailID) != .accepted(reply: 250) {
                    try await Task.sleep(for: .milliseconds(1))
                }
                task.cancel()
            }
            _ = try await task.value
            #expect(try await desk.notification().status == "sent")
            #expect(try await desk.isInInbox(message))
        }
    }
}
