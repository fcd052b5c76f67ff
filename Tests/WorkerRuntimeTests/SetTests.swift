import AMQP
import Foundation
import Messaging
import Persistence
import Postgres
import TestSupport
import Testing
import Traces
import WorkerRuntime

/// Messages that a handler can deal with together are, all or none; whatever goes wrong, each answers for itself.
@Suite(.timeLimit(.minutes(2))) struct SetTests {
    /// Messages of the form `{"about": [...]}`; one without is handled by itself.
    private struct Handler: SetHandler {
        struct Item: Decodable {
            let about: [String]
        }

        let gate: Gate
        /// The ids of each set and of each single message, in order.
        let calls: Record<[String]>
        /// Decides about a set; nil refuses it.
        var together: @Sendable ([SetMember<Item>]) async throws -> [Outcome]? = { $0.map { _ in .done } }
        var alone: @Sendable (Envelope) -> Outcome = { _ in .done }
        var wait: @Sendable (Envelope) async -> Void = { _ in }

        func joins(_ type: MessageType) -> Bool { type != .cancelJob }

        func item(of envelope: Envelope) -> Item? {
            try? JSONDecoder().decode(Item.self, from: Data(envelope.body))
        }

        func subjects(of item: Item) -> Set<String> { Set(item.about) }

        func handle(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome {
            if envelope.id == "first" { await gate.pass() }
            calls.add([envelope.id])
            await wait(envelope)
            _ = try await insertEffect(envelope, context)
            return alone(envelope)
        }

        func handle(_ members: [SetMember<Item>]) async throws -> [Outcome]? {
            calls.add(members.map(\.envelope.id))
            for member in members {
                try await member.context.traced { _ = try await insertEffect(member.envelope, member.context) }
            }
            return try await together(members)
        }
    }

    private static func about(_ id: String, _ subjects: String...) throws -> Envelope {
        Rig.message(id, String(decoding: try JSONEncoder().encode(["about": subjects]), as: UTF8.self))
    }

    /// Holds the only lane with a first message until all others are there.
    private static func run(
        _ messages: [Envelope], in rig: Rig, _ handler: Handler, urgentQueue: String? = nil,
        _ body: (Rig.Running) async throws -> Void
    ) async throws {
        let running = try await rig.start(urgentQueue: urgentQueue) { consumer, publisher, relay in
            Worker(
                Rig.configuration(concurrency: 1, batchSize: 20), handler: handler, consumer: consumer,
                publisher: publisher, pool: rig.pool, relay: relay, logger: .silent)
        }
        try await rig.publish("first")
        try await eventually { handler.gate.waiting == 1 }
        try await rig.publish(messages)
        try await eventually { try await rig.ready(Rig.queue) == 0 }
        handler.gate.open()
        try await body(running)
        try await running.stop()
    }

    @Test func thoseThatHaveNothingInCommonAreOneSet() async throws {
        try await Rig.with { rig in
            let handler = Handler(gate: Gate(), calls: Record())
            let messages = try [
                Self.about("a", "1"), Self.about("b", "2"), Self.about("c", "1", "3"), Self.about("d", "3"),
                Rig.message("e", "{}"), Self.about("f"),
            ]
            try await Self.run(messages, in: rig, handler) { running in
                try await eventually { running.worker.counts.handled == 7 }
            }
            #expect(try await rig.effects() == ["a", "b", "c", "d", "e", "f", "first"])
            // What is handled by itself comes first; c waits for a, and would be a set of one.
            #expect(handler.calls.all.map { $0.sorted() } == [["first"], ["c"], ["e"], ["a", "b", "d", "f"]])
        }
    }

    /// Messages of a type that does not join are taken one by one, so that what comes later and is urgent goes first.
    @Test func whatIsUrgentOvertakesWhatNoLaneHasBegun() async throws {
        try await Rig.with { rig in
            _ = try await rig.withConnection { try await $0.declareQueue("work.urgent") }
            let begun = Gate()
            let calls = Record<[String]>()
            let handler = Handler(
                gate: Gate(), calls: calls,
                wait: { envelope in if envelope.id == "j0" { await begun.pass() } })
            let jobs = (0..<15).map { number in
                var job = Rig.message("j\(number)", "{}")
                job.type = .cancelJob
                return job
            }
            try await Self.run(jobs, in: rig, handler, urgentQueue: "work.urgent") { running in
                // The lane has the first of them, and the others are taken.
                try await eventually { begun.waiting == 1 }
                try await rig.withConnection { connection in
                    var urgent = Rig.message("urgent", "{}")
                    urgent.type = .cancelJob
                    try await connection.publish(
                        Publication(
                            exchange: "", routingKey: "work.urgent", properties: urgent.properties, body: urgent.body))
                }
                try await eventually { running.worker.counts.inFlight == 15 }
                try await eventually { try await rig.ready("work.urgent") == 0 }
                begun.open()
                try await eventually { running.worker.counts.handled == 17 }
            }
            // The broker has sent it, and it may take the worker some jobs' time to see it; without overtaking it would be last.
            let order = calls.all.flatMap(\.self)
            let urgent = try #require(order.firstIndex(of: "urgent"))
            #expect(urgent < order.count - 1 && order.prefix(2) == ["first", "j0"], "\(order)")
        }
    }

    @Test func aSetThatFailsIsUndoneAndEachAnswersForItself() async throws {
        try await Rig.with { rig in
            let handler = Handler(
                gate: Gate(), calls: Record(),
                together: { members in
                    guard members.contains(where: { $0.envelope.id == "poor" }) else {
                        return members.map { _ in .done }
                    }
                    throw PostgresError(.timeout, "as told")
                },
                alone: { $0.id == "poor" ? .deadLetter(code: "poor", detail: "as told") : .done })
            try await Self.run(
                try [Self.about("good", "1"), Self.about("poor", "2"), Self.about("fair", "3")], in: rig, handler
            ) { running in
                try await eventually { running.worker.counts.handled == 3 && running.worker.counts.deadLettered == 1 }
            }
            #expect(try await rig.effects() == ["fair", "first", "good"])
            #expect(handler.calls.all.count == 5)
        }
    }

    @Test(arguments: [nil, [Outcome.done, .retry(code: "later", detail: "as told")]])
    func aSetThatIsRefusedOrNotAllDoneLeavesNothingBehind(outcomes: [Outcome]?) async throws {
        try await Rig.with { rig in
            let handler = Handler(gate: Gate(), calls: Record(), together: { _ in outcomes })
            try await Self.run(try [Self.about("a", "1"), Self.about("b", "2")], in: rig, handler) { running in
                try await eventually { running.worker.counts.handled == 3 }
            }
            #expect(try await rig.effects() == ["a", "b", "first"])
            #expect(handler.calls.all.map { $0.sorted() } == [["first"], ["a", "b"], ["a"], ["b"]])
        }
    }

    @Test func whatWasHandledBeforeIsNotInTheSet() async throws {
        try await Rig.with { rig in
            _ = try await rig.pool.query("insert into inbox (consumer, message_id) values ('work', 'old')")
            let handler = Handler(gate: Gate(), calls: Record())
            try await Self.run(
                try [Self.about("new", "1"), Self.about("old", "2"), Self.about("other", "3")], in: rig, handler
            ) { running in
                try await eventually { running.worker.counts.handled == 4 }
            }
            #expect(try await rig.effects() == ["first", "new", "other"])
            #expect(handler.calls.all.map { $0.sorted() } == [["first"], ["new", "other"]])
        }
    }

    @Test func eachMemberWritesWithItsOwnTrace() async throws {
        try await Rig.with { rig in
            let traces = ["a": TraceContext.root(isSampled: true), "b": TraceContext.root(isSampled: true)]
            let handler = Handler(
                gate: Gate(), calls: Record(),
                together: { members in
                    for member in members {
                        await member.context.traced {
                            #expect(TraceContext.current?.traceID == traces[member.envelope.id]?.traceID)
                        }
                    }
                    return members.map { _ in .done }
                })
            let messages = try traces.keys.map { id in
                var message = try Self.about(id, id)
                message.traceParent = traces[id]?.traceParent
                return message
            }
            try await Self.run(messages, in: rig, handler) { running in
                try await eventually { running.worker.counts.handled == 3 }
            }
            #expect(handler.calls.all.count == 2)
        }
    }
}
