import AMQP
import Foundation
import Messaging
import Persistence
import Postgres
import TestSupport
import Testing
import WorkerRuntime

/// A handler of both kinds: rows in batches, effects outside the database one by one.
@Suite(.timeLimit(.minutes(2))) struct MixedTests {
    /// Messages of type `job.cancel` have their effect outside the database.
    private struct Handler: MixedHandler {
        let gate: Gate
        /// The ids of outside effects, in order.
        let effects: Record<String>

        func hasOutsideEffect(_ envelope: Envelope) -> Bool { envelope.type == .cancelJob }

        func handle(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome {
            if envelope.id == "first" { await gate.pass() }
            _ = try await context.transaction.query(
                """
                insert into effects (message_id, note)
                values (\(envelope.id), (txid_current() % 4294967296)::text)
                """)
            return envelope.id == "poor" ? .deadLetter(code: "poor", detail: "as told") : .done
        }

        func handle(_ envelope: Envelope, in context: EffectContext) async throws -> Outcome {
            effects.add(envelope.id)
            _ = try await context.pool.withTransaction { transaction in
                try await Inbox.insert(consumer: context.role, messageID: envelope.id, in: transaction)
            }
            return envelope.id == "mail-poor" ? .deadLetter(code: "poor", detail: "as told") : .done
        }
    }

    /// Holds the only lane with a first message until all others are there; then plans and mails alternate.
    private static func run(
        plans: [String], mails: [String], in rig: Rig, _ body: (Rig.Running, Handler) async throws -> Void
    ) async throws {
        let handler = Handler(gate: Gate(), effects: Record())
        let running = try await rig.start { consumer, publisher, relay in
            Worker(
                Rig.configuration(concurrency: 1, batchSize: 20), effects: handler, consumer: consumer,
                publisher: publisher, pool: rig.pool, relay: relay, logger: .silent)
        }
        try await rig.publish("first")
        try await eventually { handler.gate.waiting == 1 }
        for (plan, mail) in zip(plans, mails) {
            var outside = Rig.message(mail)
            outside.type = .cancelJob
            try await rig.publish([outside, Rig.message(plan)])
        }
        try await eventually { try await rig.ready(Rig.queue) == 0 }
        handler.gate.open()
        try await body(running, handler)
        try await running.stop()
    }

    private static func transactions(_ rig: Rig) async throws -> Set<String> {
        Set(
            try await rig.pool.query("select note from effects where message_id <> 'first'").map {
                try $0.decode("note", as: String.self)
            })
    }

    @Test func rowsShareATransactionAndEffectsHappenOnceEach() async throws {
        try await Rig.with { rig in
            let mails = ["mail-1", "mail-2", "mail-3"]
            try await Self.run(plans: ["a", "b", "c"], mails: mails, in: rig) { running, handler in
                try await eventually { running.worker.counts.handled == 7 }
                #expect(handler.effects.all.sorted() == mails)
            }
            #expect(try await rig.effects() == ["a", "b", "c", "first"])
            #expect(try await Self.transactions(rig).count == 1)
        }
    }

    @Test func whatFailsTakesNothingElseWithIt() async throws {
        try await Rig.with { rig in
            let mails = ["mail-1", "mail-poor", "mail-3"]
            try await Self.run(plans: ["a", "poor", "c"], mails: mails, in: rig) { running, handler in
                try await eventually { running.worker.counts.handled == 5 && running.worker.counts.deadLettered == 2 }
                #expect(handler.effects.all.sorted() == mails.sorted())
            }
            #expect(try await rig.effects() == ["a", "c", "first"])
        }
    }
}
