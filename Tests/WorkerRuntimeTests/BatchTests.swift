import AMQP
import Foundation
import Messaging
import Persistence
import Postgres
import TestSupport
import Testing
import Traces
import WorkerRuntime

/// A batch that is run without savepoints records for each message what a message that is run alone records.
@Suite(.timeLimit(.minutes(2))) struct BatchTests {
    /// Holds the only lane with a first message until all others are there, so that they are one batch.
    private static func withBatch(
        of messages: [Envelope], in rig: Rig,
        handle: @escaping @Sendable (Envelope, HandlerContext) async throws -> Outcome,
        _ body: (Rig.Running) async throws -> Void
    ) async throws {
        let gate = Gate()
        let running = try await rig.start(Rig.configuration(concurrency: 1, batchSize: 20)) { envelope, context in
            if envelope.id == "first" { await gate.pass() }
            return try await handle(envelope, context)
        }
        try await rig.publish("first")
        try await eventually { gate.waiting == 1 }
        try await rig.publish(messages)
        // With the first message still in hand, nothing ready means that the consumer has them all.
        try await eventually { try await rig.ready(Rig.queue) == 0 }
        gate.open()
        try await body(running)
        try await running.stop()
    }

    /// The message, and whether it was handled in a savepoint: what one writes bears an id of its own then.
    private static func hadSavepoint(_ rig: Rig) async throws -> [String: Bool] {
        let rows = try await rig.pool.query(
            """
            select effects.message_id, inbox.xmin::text <> note as had from inbox join effects using (message_id)
            where note is not null
            """)
        return try Dictionary(
            uniqueKeysWithValues: rows.map {
                (try $0.decode("message_id", as: String.self), try $0.decode("had", as: Bool.self))
            })
    }

    @Sendable private static func insertNoted(_ envelope: Envelope, _ context: HandlerContext) async throws -> Outcome {
        _ = try await context.transaction.query(
            """
            insert into effects (message_id, note)
            values (\(envelope.id), (txid_current() % 4294967296)::text)
            """)
        return .done
    }

    @Test func eachMessageKeepsItsTraceFromItsDeliveryToWhatItPublishes() async throws {
        let collector = SpanCollector.shared
        let traces = Dictionary(
            uniqueKeysWithValues: (0..<4).map { ("m\($0)", TraceContext.root(isSampled: true)) })
        try await Rig.with { rig in
            let messages = traces.map { id, trace in
                var message = Rig.message(id)
                message.traceParent = trace.traceParent
                return message
            }
            let handle: @Sendable (Envelope, HandlerContext) async throws -> Outcome = { envelope, context in
                if let trace = traces[envelope.id] {
                    #expect(TraceContext.current?.traceID == trace.traceID)
                    let child = Envelope(
                        id: envelope.id + "-child", type: .consultationBooked, correlationID: envelope.correlationID,
                        timestamp: context.now, body: Array("{}".utf8))
                    try await context.publish(OutgoingMessage(exchange: .events, envelope: child))
                }
                return try await Self.insertNoted(envelope, context)
            }
            try await Self.withBatch(of: messages, in: rig, handle: handle) { running in
                try await eventually { running.worker.counts.handled == 5 }
                for _ in traces {
                    let child = try Envelope(try await rig.receive("unrouted"), now: Date())
                    let parent = String(child.id.prefix(2))
                    #expect(child.trace?.traceID == traces[parent]?.traceID)
                }
            }
            #expect(try await Self.hadSavepoint(rig).filter { $0.key != "first" }.allSatisfy { !$0.value })
            for trace in traces.values {
                let spans = collector.spans(of: trace.traceID)
                let process = try #require(spans.first { $0.kind == .consumer })
                let transaction = try #require(spans.first { $0.name == "transaction" })
                #expect(process.parentSpanID == trace.spanID)
                #expect(transaction.parentSpanID == process.context.spanID && transaction.failure == nil)
                #expect(transaction.attributes["neff.batch.size"] == 4)
                #expect(spans.first { $0.kind == .producer }?.parentSpanID == process.context.spanID)
            }
        }
    }

    @Test func whatOneMessageUndoesIsInTheTraceOfEach() async throws {
        let collector = SpanCollector.shared
        let traces = ["good": TraceContext.root(isSampled: true), "poor": TraceContext.root(isSampled: true)]
        try await Rig.with { rig in
            let messages = traces.map { id, trace in
                var message = Rig.message(id)
                message.traceParent = trace.traceParent
                return message
            }
            let handle: @Sendable (Envelope, HandlerContext) async throws -> Outcome = { envelope, context in
                if envelope.id == "poor" { return .deadLetter(code: "poor", detail: "as told") }
                return try await insertEffect(envelope, context)
            }
            try await Self.withBatch(of: messages, in: rig, handle: handle) { running in
                try await eventually { running.worker.counts.handled == 2 && running.worker.counts.deadLettered == 1 }
            }
            #expect(try await rig.effects() == ["first", "good"])
            for trace in traces.values {
                let transactions = collector.spans(of: trace.traceID).filter { $0.name == "transaction" }
                // The batch as a whole, and then with savepoints.
                #expect(transactions.map(\.failure) == ["rolled back by a handler", nil])
            }
        }
    }

    @Test func whatWasHandledBeforeAndWhatIsOfNoUseLeaveTheirReceiptsAmongTheOthers() async throws {
        try await Rig.with { rig in
            try await rig.pool.withTransaction { transaction in
                _ = try await Inbox.insert(consumer: "work", messageID: "m1", in: transaction)
            }
            let handle: @Sendable (Envelope, HandlerContext) async throws -> Outcome = { envelope, context in
                if envelope.id == "m2" { return .ignored(reason: "as told") }
                return try await Self.insertNoted(envelope, context)
            }
            try await Self.withBatch(of: (0..<4).map { Rig.message("m\($0)") }, in: rig, handle: handle) { running in
                try await eventually { running.worker.counts.handled == 5 }
            }
            #expect(try await rig.effects() == ["first", "m0", "m3"])
            let rows = try await rig.pool.query("select message_id from inbox where consumer = 'work' order by 1")
            #expect(try rows.map { try $0.decode("message_id", as: String.self) } == ["first", "m0", "m1", "m2", "m3"])
            #expect(try await Self.hadSavepoint(rig).filter { $0.key != "first" } == ["m0": false, "m3": false])
            #expect(try await rig.ready(Rig.queue) == 0)
        }
    }

    /// A replayed message is fenced before it is claimed: recalled, it has neither effect nor receipt.
    @Test func aRecalledMessageAmongOthersHasNoEffectAndNoReceipt() async throws {
        try await Rig.with { rig in
            try await rig.bury(["recalled"])
            let campaign = try await rig.campaign()
            let stamp = ReplayStamp(campaign: campaign, epoch: try await rig.find(campaign).epoch)
            try await rig.act(.recall, campaign)
            var recalled = Rig.message("recalled")
            recalled.replay = stamp
            let messages = [Rig.message("a"), recalled, Rig.message("z")]
            try await Self.withBatch(of: messages, in: rig, handle: Self.insertNoted) { running in
                try await eventually { running.worker.counts.handled == 4 }
            }
            #expect(try await rig.effects() == ["a", "first", "z"])
            #expect(try await rig.pool.query("select 1 as one from inbox where message_id = 'recalled'").isEmpty)
            // And those beside it are none the worse.
            #expect(try await Self.hadSavepoint(rig).filter { $0.key != "first" } == ["a": true, "z": true])
        }
    }

    @Test func aBatchThatTakesTooLongIsRunAgainWithATimeForEachMessage() async throws {
        try await Rig.with { rig in
            let gate = Gate()
            let configuration = Rig.configuration(concurrency: 1, batchSize: 20, handlerTimeout: .seconds(2))
            let seen = Record<Envelope>()
            let running = try await rig.start(configuration) { envelope, context in
                if envelope.id == "first" {
                    await gate.pass()
                } else {
                    seen.add(envelope)
                    // Together more than the limit, and each alone far less.
                    _ = try await context.transaction.query("select pg_sleep(0.7)")
                }
                return try await insertEffect(envelope, context)
            }
            try await rig.publish("first")
            try await eventually { gate.waiting == 1 }
            try await rig.publish((0..<4).map { Rig.message("m\($0)") })
            try await eventually { try await rig.ready(Rig.queue) == 0 }
            gate.open()
            try await eventually { running.worker.counts.handled == 5 }
            try await running.stop()
            #expect(seen.all.count > 4 && seen.all.allSatisfy { $0.attemptCount == 0 })
            #expect(try await rig.effects() == ["first", "m0", "m1", "m2", "m3"])
        }
    }

    /// What a handler computes must be short, and where it runs is why.
    @Test func lanesRunOnTheThreadOfTheDatabasesConnections() async throws {
        try await Rig.with { rig in
            let threads = Record<UInt>()
            let running = try await rig.start { envelope, context in
                threads.add(UInt(pthread_self()))
                let outcome = try await insertEffect(envelope, context)
                threads.add(UInt(pthread_self()))
                return outcome
            }
            try await rig.publish("a", "b", "c")
            try await eventually { running.worker.counts.handled == 3 }
            let owner = await Task(executorPreference: rig.pool.taskExecutor) { UInt(pthread_self()) }.value
            #expect(Set(threads.all) == [owner])
            try await running.stop()
        }
    }
}
