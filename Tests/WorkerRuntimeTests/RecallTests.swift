import AMQP
import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing
import WorkerRuntime

@Suite(.timeLimit(.minutes(2))) struct RecallTests {
    /// Letters in the queue, in retry tiers, in hand before their effect and in hand after it, while the campaign is
    /// recalled: each is done or recalled, never both, never neither.
    @Test(arguments: [1, 8])
    func eachLetterIsDoneOrRecalled(batchSize: Int) async throws {
        try await Rig.with { rig in
            let ids = Rig.ids(300)
            try await rig.bury(ids)
            let isRecalled = Mutex(false)
            let running = try await rig.start(Rig.configuration(concurrency: 6, batchSize: batchSize)) {
                envelope, context in
                // A tenth goes through a retry tier first.
                if envelope.id.hasSuffix("7"), envelope.attemptCount == 0, !isRecalled.withLock({ $0 }) {
                    return .retry(code: "later", detail: "")
                }
                let outcome = try await insertEffect(envelope, context)
                // In hand for a moment, with the effect in an open transaction.
                try await Task.sleep(for: .milliseconds(.random(in: 1...20)))
                return outcome
            }
            try await rig.withRunner {
                let id = try await rig.campaign(
                    ReplayRules(canary: 0, ramp: [], rate: nil, maxInFlight: 200, abortAbove: 1))
                try await eventually { try await rig.effects().count >= 30 }
                let campaign = try await rig.act(.recall, id)
                isRecalled.withLock { $0 = true }
                // It is true when the act returns, and stays so when everything has been consumed.
                let effects = Set(try await rig.effects())
                let progress = campaign.progress
                #expect(campaign.phase == .recalled && campaign.epoch == 2 && progress.inFlight == 0)
                #expect(progress.recalled > 0 && progress.done == effects.count && effects.count < 300)
                #expect(progress.done + progress.recalled + progress.withdrawn == 300)
                try await eventually {
                    let waiting = try await rig.ready(Rig.queue) + rig.ready("work.retry.50ms")
                    return waiting == 0 && running.worker.counts.inFlight == 0
                }
                let done = try await rig.messages(id, .done)
                let back = try await rig.messages(id, .recalled, .withdrawn)
                #expect(Set(try await rig.effects()) == effects && done == effects)
                #expect(done.isDisjoint(with: back) && done.union(back) == Set(ids))
                #expect(try await rig.letters(.dead) == back)
                #expect(try await rig.letters(.replayed) == done)
                #expect(try await rig.settled(id).progress == progress)

                // What was recalled can be replayed, and every effect happens once.
                let again = try await rig.settled(try await rig.campaign())
                #expect(again.progress.done == back.count)
                #expect(try await rig.effects() == ids)
            }
            try await running.stop()
        }
    }

    @Test func aRecallWaitsForWhatIsInHandAndNothingBeginsMeanwhile() async throws {
        try await Rig.with { rig in
            try await rig.bury(Rig.ids(20))
            let gate = Gate()
            let running = try await rig.start(Rig.configuration(concurrency: 3)) { envelope, context in
                await gate.pass()
                return try await insertEffect(envelope, context)
            }
            try await rig.withRunner {
                let id = try await rig.campaign()
                try await eventually { try await rig.find(id).progress.published == 20 }
                try await eventually { gate.waiting == 3 }
                async let recalled = rig.act(.recall, id)
                try await eventually {
                    let rows = try await rig.pool.query(
                        """
                        select 1 as waiting from pg_locks where locktype = 'advisory' and not granted
                            and database = (select oid from pg_database where datname = current_database())
                        """)
                    return !rows.isEmpty
                }
                gate.open()
                let campaign = try await recalled
                #expect(campaign.progress.done == 3 && campaign.progress.recalled == 17)
                try await eventually { try await rig.ready(Rig.queue) == 0 && running.worker.counts.inFlight == 0 }
                #expect(try await rig.effects().count == 3)
                #expect(try await rig.messages(id, .done) == Set(try await rig.effects()))
            }
            try await running.stop()
        }
    }

    @Test func aMessageThatMeetsARecallComesBackLaterAndSpendsNothing() async throws {
        try await Rig.with { rig in
            try await rig.bury(["a"])
            let seen = Record<Envelope>()
            let running = try await rig.start { envelope, context in
                seen.add(envelope)
                return try await insertEffect(envelope, context)
            }
            let id = try await rig.campaign()
            try await rig.withRunner {
                // A recall that is under way, and comes to nothing.
                try await rig.pool.withTransaction { transaction in
                    _ = try await transaction.query(
                        "select pg_advisory_xact_lock(7499884, hashtext(\(id.rawValue)))")
                    try await eventually { try await rig.find(id).progress.published == 1 }
                    try await eventually { try await rig.ready("work.retry.50ms") == 1 }
                }
                #expect(try await rig.settled(id).progress.done == 1)
            }
            #expect(seen.all.map(\.attemptCount) == [0])
            try await running.stop()
        }
    }

    @Test func aDeathThatIsJournalledAfterTheRecallTakesTheLettersPlace() async throws {
        try await Rig.with { rig in
            try await rig.bury(["a", "b"])
            let running = try await rig.start { _, _ in .deadLetter(code: "fault", detail: "") }
            try await rig.withRunner {
                let id = try await rig.campaign()
                // Both have died again, and nobody has journalled it yet.
                try await eventually { try await rig.ready("work.dead") == 2 }
                let recalled = try await rig.act(.recall, id).progress
                #expect(recalled.recalled == 2)
                #expect(try await rig.letters(.dead) == ["a", "b"])
                try await DeadLetterTests.withJournal(rig) {
                    try await eventually { try await rig.find(id).progress.failed == 2 }
                }
                // One dead letter for each message, not two.
                let dead = try await DeadLetterTests.letters(rig, status: .dead)
                #expect(dead.count == 2 && dead.allSatisfy { $0.replayCount == 1 })
                #expect(try await DeadLetterTests.letters(rig, status: .replayed).count == 2)
            }
            try await running.stop()
        }
    }

    /// An effect outside the database cannot be undone, so what has begun is let come to its end.
    @Test func anEffectOutsideTheDatabaseIsRecalledUntilItHasBegun() async throws {
        try await Rig.with { rig in
            try await rig.bury(Rig.ids(12))
            let gate = Gate()
            let handler = OutsideEffect(gate: gate)
            let running = try await rig.start { consumer, publisher, relay in
                Worker(
                    Rig.configuration(concurrency: 4), effects: handler, consumer: consumer, publisher: publisher,
                    pool: rig.pool, relay: relay, logger: .silent)
            }
            try await rig.withRunner {
                let id = try await rig.campaign()
                try await eventually { gate.waiting == 4 }
                try await eventually { try await rig.find(id).progress.published == 12 }
                // Does not wait for them.
                let campaign = try await rig.act(.recall, id)
                #expect(campaign.progress.recalled == 8 && campaign.progress.inFlight == 4)
                #expect(campaign.settledAt == nil)
                gate.open()
                let settled = try await rig.settled(id)
                #expect(settled.progress.done == 4 && settled.progress.recalled == 8)
                let happened = handler.happened.all
                #expect(try await rig.messages(id, .done) == Set(happened) && happened.count == 4)
                #expect(try await rig.letters(.dead) == rig.messages(id, .recalled))
                let begun = try await rig.pool.query("select 1 as one from replay_begun")
                #expect(begun.isEmpty)
            }
            try await running.stop()
        }
    }

    @Test func anEffectThatDidNotHappenCanBeRecalledAgain() async throws {
        try await Rig.with { rig in
            try await rig.bury(["a"])
            let handler = OutsideEffect(outcome: .retry(code: "smtp.451", detail: "", after: .milliseconds(150)))
            let running = try await rig.start { consumer, publisher, relay in
                Worker(
                    Rig.configuration(), effects: handler, consumer: consumer, publisher: publisher, pool: rig.pool,
                    relay: relay, logger: .silent)
            }
            try await rig.withRunner {
                let id = try await rig.campaign()
                try await eventually { running.worker.counts.retried > 0 }
                // Between two tries, sooner or later.
                try await eventually {
                    try await rig.pool.query("select 1 as one from replay_begun").isEmpty
                }
                _ = try await rig.act(.recall, id)
                let campaign = try await rig.find(id)
                #expect(campaign.progress.recalled + campaign.progress.inFlight == 1)
                if campaign.progress.recalled == 1 { #expect(try await rig.letters(.dead) == ["a"]) }
            }
            try await running.stop()
        }
    }

    /// Something that happens in the world, followed by its receipt.
    private struct OutsideEffect: EffectHandler {
        var gate: Gate?
        var outcome = Outcome.done
        let happened = Record<String>()

        func handle(_ envelope: Envelope, in context: EffectContext) async throws -> Outcome {
            guard outcome == .done else { return outcome }
            await gate?.pass()
            try await context.pool.withTransaction { transaction in
                if try await Inbox.insert(consumer: context.role, messageID: envelope.id, in: transaction) {
                    happened.add(envelope.id)
                }
            }
            return .done
        }
    }
}
