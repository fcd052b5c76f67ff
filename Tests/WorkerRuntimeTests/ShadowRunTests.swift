import AMQP
import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import TestSupport
import Testing
import WorkerRuntime

@Suite(.timeLimit(.minutes(2))) struct ShadowRunTests {
    struct Handler: MessageHandler {
        let body: @Sendable (Envelope, HandlerContext) async throws -> Outcome

        func handle(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome {
            try await body(envelope, context)
        }
    }

    struct Odd: Error {}

    static func publishing(_ envelope: Envelope, _ context: HandlerContext) async throws -> Outcome {
        _ = try await insertEffect(envelope, context)
        try await context.publish(
            OutgoingMessage(
                exchange: .events,
                envelope: Envelope(id: "child", type: .jobScheduled, timestamp: context.now, body: [])))
        return .done
    }

    /// What a run leaves behind: rows of every table that it writes.
    static func traces(_ rig: Rig) async throws -> Int {
        try await rig.pool.query(
            "select (select count(*) from effects) + (select count(*) from outbox) + (select count(*) from inbox) as n")[
                0
            ]
            .decode("n")
    }

    static func run(
        _ rig: Rig, limit: Duration = .seconds(8),
        _ body: @escaping @Sendable (Envelope, HandlerContext) async throws -> Outcome
    ) async -> ShadowRun.Ending {
        await ShadowRun(pool: rig.pool, timeLimit: limit).run(
            Rig.message("a"), role: "work", handler: Handler(body: body))
    }

    @Test func aSuccessLeavesNothingBehind() async throws {
        try await Rig.with { rig in
            #expect(await Self.run(rig, Self.publishing) == .succeeded)
            #expect(try await Self.traces(rig) == 0)
            // The real run finds nothing in its way.
            let running = try await rig.start(handle: Self.publishing)
            try await rig.publish("a")
            try await eventually { try await rig.effects() == ["a"] }
            try await running.stop()
            #expect(await Self.run(rig, Self.publishing) == .handledBefore)
        }
    }

    @Test func everyWayToEndIsToldAndUndone() async throws {
        try await Rig.with { rig in
            func ending(_ outcome: Outcome) async -> ShadowRun.Ending {
                await Self.run(rig) { envelope, context in
                    _ = try await Self.publishing(envelope, context)
                    return outcome
                }
            }
            #expect(await ending(.ignored(reason: "old")) == .ignored(reason: "old"))
            let failure = Failure(code: "c", detail: "d")
            #expect(await ending(.deadLetter(code: "c", detail: "d")) == .failed(failure))
            #expect(await ending(.retry(code: "c", detail: "d")) == .failed(failure))
            #expect(await ending(.release(reason: "r")) == .inconclusive("r"))
            let thrown = await Self.run(rig) { envelope, context in
                _ = try await Self.publishing(envelope, context)
                throw Odd()
            }
            #expect(thrown == .failed(Failure(code: "error.Odd", detail: "Odd()")))
            let broken = await Self.run(rig) { _, context in
                _ = try await context.transaction.query("insert into effects (message_id) values (null)")
                return .done
            }
            guard case .failed(let failure) = broken else {
                Issue.record("\(broken)")
                return
            }
            #expect(failure.code == "db.23502")
            let traces = try await Self.traces(rig)
            #expect(traces == 0)
        }
    }

    @Test func whatOnlyTheCommitWouldCheckIsChecked() async throws {
        try await Rig.with { rig in
            let ending = await Self.run(rig) { _, context in
                _ = try await context.transaction.query(
                    "insert into calendly_invitees (uri, consultation_id) values ('u', 'con_none')")
                return .done
            }
            guard case .failed(let failure) = ending else {
                Issue.record("\(ending)")
                return
            }
            #expect(failure.code == "db.23503")
        }
    }

    @Test func aHandlerThatHangsIsEnded() async throws {
        try await Rig.with { rig in
            let inDatabase = await Self.run(rig, limit: .milliseconds(300)) { _, context in
                _ = try await context.transaction.query("select pg_sleep(60)")
                return .done
            }
            guard case .failed = inDatabase else {
                Issue.record("\(inDatabase)")
                return
            }
            let elsewhere = await Self.run(rig, limit: .milliseconds(300)) { _, _ in
                try await Task.sleep(for: .seconds(60))
                return .done
            }
            guard case .failed(let failure) = elsewhere else {
                Issue.record("\(elsewhere)")
                return
            }
            #expect(failure.code == "timeout")
            let traces = try await Self.traces(rig)
            #expect(traces == 0)
        }
    }

    @Test func aRowThatAWorkerHoldsIsNotWaitedForLong() async throws {
        try await Rig.with { rig in
            _ = try await rig.pool.query("insert into effects (message_id) values ('held')")
            try await rig.pool.withTransaction { transaction in
                _ = try await transaction.query("select from effects for update")
                let ending = await Self.run(rig, limit: .seconds(2)) { _, context in
                    _ = try await context.transaction.query("update effects set note = 'x'")
                    return .done
                }
                guard case .inconclusive(let reason) = ending else {
                    Issue.record("\(ending)")
                    return
                }
                #expect(reason.contains("in use"))
            }
        }
    }

    // MARK: Verdicts on letters

    @Test func theVerdictComparesWithTheLettersOwnError() async throws {
        try await Rig.with { rig in
            var letter = DeadLetterTests.letter(queue: "work", messageID: "a")
            (letter.errorCode, letter.errorText) = ("fault", "row 7 is odd")
            letter.takeFingerprint()
            func verdict(_ outcome: Outcome, reason: String = "rejected", message: String = "a") async throws -> String
            {
                var letter = letter
                (letter.reason, letter.messageID) = (reason, message)
                let rehearsal = LetterRehearsal(pool: rig.pool, handlers: ["work": Handler { _, _ in outcome }])
                return await rehearsal.verdict(on: letter, try await LetterFacts.read(for: letter, on: rig.pool)).name
            }
            #expect(try await verdict(.done) == "would_succeed")
            #expect(try await verdict(.ignored(reason: "stale")) == "superseded")
            #expect(try await verdict(.deadLetter(code: "fault", detail: "row 9 is odd")) == "same_error")
            #expect(try await verdict(.deadLetter(code: "fault", detail: "no crew")) == "new_error")
            #expect(try await verdict(.retry(code: "other", detail: "row 7 is odd")) == "new_error")
            #expect(try await verdict(.done, reason: "poison") == "unknown", "a killer is not let loose here")
            _ = try await rig.pool.query("insert into inbox (consumer, message_id) values ('work', 'b')")
            #expect(try await verdict(.done, message: "b") == "already_applied")
        }
    }

    @Test func theHandlerSeesTheBodyWithItsPatch() async throws {
        try await Rig.with { rig in
            var letter = DeadLetterTests.letter(queue: "work", messageID: "a")
            letter.body = Array(#"{"n":1}"#.utf8)
            letter.patch = try JSONPatch(json: #"[{"op":"replace","path":"/n","value":2}]"#.utf8)
            let rehearsal = LetterRehearsal(
                pool: rig.pool,
                handlers: [
                    "work": Handler { envelope, _ in
                        envelope.body == Array(#"{"n":2}"#.utf8) && envelope.replayCount == 1
                            ? .done : .deadLetter(code: "body", detail: "")
                    }
                ])
            #expect(await rehearsal.verdict(on: letter, LetterFacts()).name == "would_succeed")
            #expect(try letter.revived().body == Array(#"{"n":2}"#.utf8) && letter.body == Array(#"{"n":1}"#.utf8))
        }
    }
}

@Suite struct RetryAgesTests {
    @Test func theOldestCountsUntilAWhileAfterItsTier() {
        let ages = RetryAges()
        let start = Date(timeIntervalSince1970: 1_800_000_000)
        #expect(ages.oldest(at: start) == nil)
        ages.note("a", firstFailedAt: start, dueAt: start + 100)
        ages.note("b", firstFailedAt: start + 50, dueAt: start + 1_000)
        #expect(ages.oldest(at: start + 159) == start)
        #expect(ages.oldest(at: start + 161) == start + 50)
        ages.note("a", firstFailedAt: start, dueAt: start + 2_000)
        #expect(ages.oldest(at: start + 1_500) == start)
        for number in 0..<3_000 {
            ages.note("n\(number)", firstFailedAt: start + Double(number + 1), dueAt: start + 9_000)
        }
        #expect(ages.oldest(at: start + 1_600) == start, "the oldest are the ones that are kept")
    }
}
