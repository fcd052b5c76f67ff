import Domain
import Foundation
import Messaging
import NotificationWorker
import Persistence
import Postgres
import TestSupport
import Testing
import Transport
import WorkerRuntime

/// A worker is gone, or the database is, somewhere between claim and record.
@Suite(.timeLimit(.minutes(2))) struct KilledWorkerTests {
    // MARK: Killed, on the same host

    @Test func killedAfterTheAnswerNothingIsSentAgain() async throws {
        try await Desk.open { desk in
            let process = try desk.process()
            let message = try await desk.planOne(by: process)
            _ = try await desk.claimAndDie(message) { journal, mailID in
                journal.willHandOver(messageID: mailID)
                journal.didAccept(messageID: mailID, reply: 250)
            }
            #expect(try await process.handle(message) == .done)
            let row = try await desk.notification()
            #expect(row.status == "sent" && row.reply == "250 (from the send journal)" && row.claimedBy == nil)
            #expect(try await desk.isInInbox(message))
            #expect(desk.mail.connectionCount == 0)
        }
    }

    @Test func killedBeforeTheDotTheMailIsSent() async throws {
        try await Desk.open { desk in
            let process = try desk.process(policy: .hold)
            let message = try await desk.planOne(by: process)
            _ = try await desk.claimAndDie(message)
            #expect(try await process.handle(message) == .done)
            let row = try await desk.notification()
            #expect(row.status == "sent" && row.attempts == 2 && !row.isAmbiguous)
            #expect(desk.mail.messages.count == 1)
        }
    }

    /// An earlier attempt of the dead process got as far as the dot and was refused there.
    @Test func anEarlierAttemptOfTheDeadIsNotMistakenForItsLast() async throws {
        try await Desk.open { desk in
            let process = try desk.process(policy: .hold)
            let message = try await desk.planOne(by: process)
            _ = try await desk.claimAndDie(message) { journal, mailID in
                journal.willHandOver(messageID: mailID)
                journal.forget(messageID: mailID)
            }
            #expect(try await process.handle(message) == .done)
            #expect(try await !desk.notification().isAmbiguous)
            #expect(desk.mail.messages.count == 1)
        }
    }

    /// The message of the dead one's notice may come much later, or be a dead letter by now.
    @Test func whatADeadProcessHadInHandHoldsUpNoOtherNotice() async throws {
        try await Desk.open { desk in
            let process = try desk.process()
            let booked = try await desk.planOne(sequence: 1, by: process)
            _ = try await desk.claimAndDie(booked)
            let moved = try await desk.planOne(sequence: 2, by: process)
            #expect(try await process.handle(moved) == .done)
            #expect(try await desk.notifications().map(\.status) == ["planned", "sent"])
            #expect(
                try await process.handle(booked) == .ignored(reason: "a newer notice has gone to the same person"))
        }
    }

    @Test func killedBetweenDotAndAnswerTheMailIsAmbiguous() async throws {
        try await Desk.open { desk in
            let process = try desk.process(policy: .resend)
            let message = try await desk.planOne(by: process)
            _ = try await desk.claimAndDie(message) { $0.willHandOver(messageID: $1) }
            #expect(try await process.handle(message).retryCode == "smtp.ambiguous")
            #expect(desk.mail.connectionCount == 0)
            #expect(try await process.handle(message) == .done)
            #expect(try await desk.notification().isAmbiguous)
            #expect(try desk.mails().map { try $0.header("X-Neff-Repeat") } == ["possible"])
        }
    }

    @Test func killedBetweenDotAndAnswerHoldHolds() async throws {
        try await Desk.open { desk in
            let process = try desk.process(policy: .hold)
            let message = try await desk.planOne(by: process)
            _ = try await desk.claimAndDie(message) { $0.willHandOver(messageID: $1) }
            #expect(try await process.handle(message).deadLetterCode == "smtp.ambiguous")
            #expect(try await desk.notification().status == "unknown")
            #expect(desk.mail.connectionCount == 0)
        }
    }

    @Test func theSurvivorsShareOutTheDeadOnesMailWithoutSendingItTwice() async throws {
        try await Desk.open { desk in
            let processes = try (0..<4).map { _ in try desk.process() }
            let message = try await desk.planOne(by: processes[0])
            _ = try await desk.claimAndDie(message)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for process in processes {
                    group.addTask { try await process.handleToTheEnd(message) }
                }
                try await group.waitForAll()
            }
            #expect(desk.mail.messages.count == 1)
            #expect(try await desk.notification().status == "sent")
        }
    }

    // MARK: Another host

    @Test func aClaimWithoutAJournalHereIsWaitedFor() async throws {
        try await Desk.open { desk in
            let process = try desk.process(policy: .resend, claimLifetime: .seconds(120))
            let message = try await desk.planOne(by: process)
            let holder = try await desk.claimAndDie(message)
            try FileManager.default.removeItem(atPath: "\(desk.folder)/\(holder).journal")
            #expect(try await process.handle(message).isRelease)
            #expect(try await desk.notification().claimedBy == holder)

            _ = try await desk.pool.query("update notifications set claimed_at = claimed_at - interval '119 seconds'")
            #expect(try await process.handle(message).isRelease)
            _ = try await desk.pool.query("update notifications set claimed_at = claimed_at - interval '2 seconds'")
            #expect(try await process.handle(message).retryCode == "smtp.ambiguous")
            #expect(desk.mail.connectionCount == 0)
            #expect(try await process.handle(message) == .done)
            #expect(try await desk.notification().isAmbiguous)
        }
    }

    /// A host that was thought dead was only slow: what it knows for certain counts.
    @Test func aMailThatWasSentIsRecordedThoughTheClaimWasTakenOver() async throws {
        let gate = Gate()
        let script: @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action? = { event in
            if event.moment == .message { gate.wait() }
            return nil
        }
        try await Desk.open(script: script) { desk in
            let slow = try desk.process()
            let message = try await desk.planOne(by: slow)
            async let outcome = slow.handle(message)
            await desk.mail.next(.message)
            _ = try await desk.pool.query(
                "update notifications set status = 'planned', claimed_by = null, claimed_at = null, ambiguous = true")
            gate.open()
            #expect(try await outcome == .done)
            #expect(try await desk.notification().status == "sent")
            #expect(try await desk.process().handle(message) == .ignored(reason: "sent before"))
            #expect(desk.mail.messages.count == 1)
        }
    }

    // MARK: Start

    @Test func aWorkerThatStartsSettlesWhatTheDeadLeft() async throws {
        try await Desk.open { desk in
            let planner = try desk.process()
            let message = try await desk.planOne(by: planner)
            let holder = try await desk.claimAndDie(message) { journal, mailID in
                journal.willHandOver(messageID: mailID)
                journal.didAccept(messageID: mailID, reply: 250)
            }
            let next = try desk.process()
            try await next.handler.adoptAbandonedJournals(pool: desk.workerPool, now: Sample.now)
            #expect(try await desk.notification().status == "sent")
            #expect(!desk.journalExists(holder))
            #expect(desk.journalExists(planner.journal.holder) && desk.journalExists(next.journal.holder))
            #expect(try await next.handle(message) == .ignored(reason: "sent before"))
            #expect(desk.mail.connectionCount == 0)
        }
    }

    @Test(arguments: [
        (NotificationHandler.AmbiguousMailPolicy.resend, "planned", true), (.hold, "unknown", true),
    ])
    func aWorkerThatStartsAppliesThePolicy(
        _ policy: NotificationHandler.AmbiguousMailPolicy, _ status: String, _ isAmbiguous: Bool
    ) async throws {
        try await Desk.open { desk in
            let process = try desk.process(policy: policy)
            let message = try await desk.planOne(by: process)
            let holder = try await desk.claimAndDie(message) { $0.willHandOver(messageID: $1) }
            try await process.handler.adoptAbandonedJournals(pool: desk.workerPool, now: Sample.now)
            let row = try await desk.notification()
            #expect(row.status == status && row.isAmbiguous == isAmbiguous)
            #expect(!desk.journalExists(holder))
            let outcome = try await process.handle(message)
            #expect(policy == .hold ? outcome.deadLetterCode == "smtp.ambiguous" : outcome == .done)
        }
    }

    @Test func aWorkerThatStartsWithoutTheDatabaseKeepsTheJournals() async throws {
        try await Desk.open { desk in
            let process = try desk.process()
            let message = try await desk.planOne(by: process)
            let holder = try await desk.claimAndDie(message) { $0.willHandOver(messageID: $1) }
            desk.database.accepts = false
            desk.database.cut()
            await #expect(throws: PostgresError.self) {
                try await process.handler.adoptAbandonedJournals(pool: desk.workerPool, now: Sample.now)
            }
            #expect(desk.journalExists(holder))
        }
    }

    // MARK: The database is gone

    /// The worst moment: the server has the mail, and the commit that would say so cannot be made.
    @Test(arguments: [true, false])
    func theDatabaseGoesBetweenAnswerAndCommit(_ isSameProcess: Bool) async throws {
        let gate = Gate()
        let script: @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action? = { event in
            if event.moment == .message { gate.wait() }
            return nil
        }
        try await Desk.open(script: script) { desk in
            var process: Desk.Process? = try desk.process()
            let message = try await desk.planOne(by: try #require(process))
            let task = Task { [process] in try await process?.handle(message) }
            await desk.mail.next(.message)
            desk.database.accepts = false
            desk.database.cut()
            gate.open()
            let error = await #expect(throws: PostgresError.self) { try await task.value }
            // The runtime waits for the database and runs the handler again; no attempt is spent.
            #expect(error.map { FailureCause($0) } == .databaseAway)
            #expect(try await desk.notification().status == "sending")

            desk.database.accepts = true
            if !isSameProcess {
                await process?.smtp.close()
                process = nil
            }
            let next = try process ?? desk.process()
            #expect(try await next.handle(message) == .done)
            let row = try await desk.notification()
            #expect(row.status == "sent" && !row.isAmbiguous && row.attempts == 1)
            #expect(try await desk.isInInbox(message))
            #expect(desk.mail.messages.count == 1)
        }
    }

    @Test func theSessionsAreTerminatedBetweenAnswerAndCommit() async throws {
        let gate = Gate()
        let script: @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action? = { event in
            if event.moment == .message { gate.wait() }
            return nil
        }
        try await Desk.open(script: script) { desk in
            let process = try desk.process()
            let message = try await desk.planOne(by: process)
            async let result = process.handle(message)
            await desk.mail.next(.message)
            _ = try await desk.pool.query(
                """
                select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()
                """)
            gate.open()
            // The pool may notice in time and take a new connection, or fail; either way the next run knows.
            let first = try? await result
            if first != .done { #expect(try await process.handle(message) == .done) }
            #expect(try await desk.notification().status == "sent")
            #expect(desk.mail.messages.count == 1)
        }
    }

    /// Everything at once, again and again: no mail is doubled, none is lost, whatever dies when.
    @Test func faultsAtRandomMomentsDoubleNothing() async throws {
        try await Desk.open { desk in
            var messages: [Envelope] = []
            let planner = try desk.process()
            for number in 0..<30 {
                let event = try Sample.consultationEvent {
                    $0.consultation = .make()
                    $0.customer.email = "p\(number)@example.com"
                }
                messages += try await desk.plan(.consultationBooked, event, by: planner)
            }
            let all = messages
            let faults = Task {
                // Rare enough that a new connection gets something done.
                for _ in 0..<40 {
                    try await Task.sleep(for: .milliseconds(.random(in: 20...120)))
                    desk.database.cut()
                }
            }
            let processes = try (0..<2).map { _ in try desk.process() }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for process in processes {
                    group.addTask {
                        for message in all.shuffled() { try await process.handleToTheEnd(message) }
                    }
                }
                try await group.waitForAll()
            }
            faults.cancel()
            _ = await faults.result
            #expect(try await desk.notifications().allSatisfy { $0.status == "sent" })
            let ids = try desk.mails().map { try $0.header("Message-ID") }
            #expect(ids.count == 30 && Set(ids).count == 30)
        }
    }
}
