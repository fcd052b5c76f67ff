import AMQP
import Foundation
import Logging
import Messaging
import Persistence
import Postgres
import ServiceLifecycle
import TestSupport
import Testing
import WorkerRuntime

/// Everything accepted is somewhere, and what is nowhere is named.
@Suite(.timeLimit(.minutes(2))) struct LedgerTests {
    /// As the rig binds: `job.*` leads to the one work queue.
    private static let routes = LedgerRoutes { _, routingKey in
        routingKey.split(separator: ".").count == 2 && routingKey.hasPrefix("job.") ? [Rig.queue] : []
    }

    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "ledger-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try await body(folder.path)
    }

    private func journal(_ rig: Rig, _ folder: String, pool: PostgresPool? = nil) -> AcceptanceJournal {
        AcceptanceJournal(
            folder: folder, routes: Self.routes, pool: pool ?? rig.pool, interval: .milliseconds(20), logger: .silent)
    }

    /// Accepts messages as the ingress does: publishes, notes, and answers.
    private func accept(_ rig: Rig, _ journal: AcceptanceJournal, _ envelopes: [Envelope]) async throws {
        try await rig.publish(envelopes)
        for envelope in envelopes { journal.note(OutgoingMessage(exchange: .commands, envelope: envelope)) }
    }

    private func look(_ rig: Rig, since: Date? = nil) async throws -> LedgerBalance.Look {
        try await LedgerBalance.look(since: since, consumers: { Self.routes.consumers($0, $1) }, on: rig.pool)
    }

    /// With nothing moving, what is ready is all that the broker has.
    private func balance(_ rig: Rig) async throws -> [String: LedgerBalance.Verdict] {
        let before = try await look(rig)
        var inBroker: [String: Int] = [:]
        for queue in ["work", "work.dead", "work.retry.50ms", "work.retry.150ms.a", "work.retry.150ms.b", "unrouted"] {
            inBroker[LedgerRoutes.consumer(ofQueue: queue), default: 0] += try await rig.ready(queue)
        }
        let verdicts = LedgerBalance.verdicts(before: before, inBroker: inBroker, after: try await look(rig))
        return Dictionary(uniqueKeysWithValues: verdicts.map { ($0.account.consumer, $0) })
    }

    @Test func everyLegitimateEndIsAccountedFor() async throws {
        try await Rig.with { rig in
            try await withFolder { folder in
                let journal = journal(rig, folder)
                var envelopes = (0..<200).map { Rig.message("m\($0)") }
                envelopes.append(
                    Envelope(id: "nowhere", type: MessageType(rawValue: "nobody.cares"), timestamp: Date(), body: []))
                try await accept(rig, journal, envelopes)
                // A sender's repeat: accepted twice, and one obligation.
                try await accept(rig, journal, [Rig.message("m7"), Rig.message("m8")])
                try await journal.transfer()
                var verdicts = try await balance(rig)
                #expect(verdicts["work"]?.account.accepted == 200 && verdicts["work"]?.account.outstanding == 200)
                #expect(verdicts["work"]?.missing == 0 && verdicts["work"]?.inBroker == 202)

                let tries = Record<String>()
                let running = try await rig.start(routes: Self.routes) { envelope, context in
                    let number = Int(envelope.id.dropFirst()) ?? 0
                    switch number % 10 {
                    case 1: return .ignored(reason: "old news")
                    case 2 where tries.add(envelope.id) < 30: return .retry(code: "again", detail: "")
                    case 3 where number < 100: return .deadLetter(code: "never", detail: "")
                    case 4:
                        let next = Envelope(
                            id: "after-\(envelope.id)", type: .cancelJob, timestamp: context.now, body: [])
                        try await context.publish(OutgoingMessage(exchange: .commands, envelope: next))
                        return try await insertEffect(envelope, context)
                    default: return try await insertEffect(envelope, context)
                    }
                }
                let letters = Consumer(
                    configuration: rig.broker,
                    subscriptions: [
                        Subscription(queue: "work.dead", prefetch: 50), Subscription(queue: "unrouted", prefetch: 50),
                    ], logger: .silent)
                let group = ServiceGroup(
                    configuration: ServiceGroupConfiguration(
                        services: [
                            letters, DeadLetterJournal(consumer: letters, pool: rig.pool, logger: .silent),
                        ], logger: .silent))
                let journalling = Task { try await group.run() }
                try await eventually {
                    let now = try await look(rig)
                    return now.outstanding.isEmpty && now.accounts.allSatisfy { $0.outbox == 0 }
                }
                await group.triggerGracefulShutdown()
                try await journalling.value
                try await running.stop()

                verdicts = try await balance(rig)
                let work = try #require(verdicts["work"])
                #expect(work.account.accepted == 220 && work.account.dead == 10 && work.account.done == 210)
                #expect(verdicts["unrouted"]?.account.dead == 1)
                #expect(verdicts.values.allSatisfy { $0.missing == 0 && $0.inBroker == 0 })

                let ids = try await rig.pool.query(
                    "select id from dead_letters where queue = 'work' order by id limit 4")
                _ = try await rig.pool.query(
                    """
                    update dead_letters set status = 'discarded', resolved_at = now(), resolved_by = 'ann',
                        resolution_reason = 'a test'
                    where id = any(\(try ids.map { try $0.decode("id", as: String.self) }))
                    """)
                #expect(try await look(rig).accounts.first { $0.consumer == "work" }?.discarded == 4)
                // Purged later, they stay written off.
                _ = try await rig.pool.query("delete from dead_letters where status = 'discarded'")
                let after = try #require(try await balance(rig)["work"])
                #expect(after.account.discarded == 4 && after.account.dead == 6 && after.missing == 0)
            }
        }
    }

    @Test func plantedLossesAreNamed() async throws {
        try await Rig.with { rig in
            try await withFolder { folder in
                let journal = journal(rig, folder)
                try await accept(rig, journal, (0..<50).map { Rig.message("m\($0)") })
                try await journal.transfer()
                // Somebody empties a queue by hand, a little.
                var taken: [String] = []
                for _ in 0..<3 {
                    taken.append(try await rig.receive(Rig.queue).properties.messageID ?? "")
                }
                var work = try #require(try await balance(rig)["work"])
                #expect(work.missing == 3 && !work.isExact)
                #expect(Set(taken).isSubset(of: work.suspects.map(\.messageID)))

                let running = try await rig.start(handle: insertEffect)
                try await eventually { running.worker.counts.handled == 47 }
                try await running.stop()
                _ = try await rig.pool.query("delete from inbox where message_id in ('m20', 'm30')")
                work = try #require(try await balance(rig)["work"])
                #expect(work.missing == 5 && work.isExact)
                #expect(Set(work.suspects.map(\.messageID)) == Set(taken + ["m20", "m30"]))
            }
        }
    }

    /// What moves between the looks is no loss, whichever way.
    @Test func movementIsNoLoss() {
        func outstanding(_ ids: String...) -> [LedgerBalance.Outstanding] {
            ids.map {
                LedgerBalance.Outstanding(consumer: "work", messageID: $0, routingKey: "job.create", acceptedAt: .now)
            }
        }
        func missing(_ before: [LedgerBalance.Outstanding], _ held: Int, _ after: [LedgerBalance.Outstanding]) -> Int? {
            LedgerBalance.verdicts(
                before: .init(accounts: [.init(consumer: "work")], outstanding: before), inBroker: ["work": held],
                after: .init(accounts: [.init(consumer: "work")], outstanding: after)
            ).first?.missing
        }
        // Handled before the broker was asked; published after; both.
        #expect(missing(outstanding("a", "b"), 1, outstanding("b")) == 0)
        #expect(missing(outstanding("a"), 1, outstanding("a", "new")) == 0)
        #expect(missing(outstanding("a"), 0, outstanding("new")) == 0)
        // There all the time, and not there.
        #expect(missing(outstanding("a", "b"), 1, outstanding("a", "b")) == 1)
        #expect(missing(outstanding("a"), 0, outstanding("a", "new")) == 1)
    }

    /// Under load, looks are taken all the time and never see a loss.
    @Test func aSystemAtWorkRaisesNoAlarm() async throws {
        try await Rig.with { rig in
            try await withFolder { folder in
                let journal = journal(rig, folder)
                let running = try await rig.start(routes: Self.routes) { envelope, context in
                    if envelope.type == .createJob {
                        let next = Envelope(
                            id: "after-\(envelope.id)", type: .cancelJob, timestamp: context.now, body: [])
                        try await context.publish(OutgoingMessage(exchange: .commands, envelope: next))
                    }
                    return try await insertEffect(envelope, context)
                }
                let load = Task {
                    for batch in 0..<20 {
                        try await accept(rig, journal, (0..<20).map { Rig.message("m\(batch)-\($0)") })
                        try await journal.transfer()
                    }
                }
                var alarms = 0
                repeat {
                    let before = try await look(rig)
                    // The broker's ready count alone is less than it holds, so this is a harder test than the real one:
                    // what is in a worker's hand is added as the worker knows it.
                    let held = try await rig.ready(Rig.queue) + running.worker.counts.inFlight + 64
                    let after = try await look(rig)
                    alarms +=
                        LedgerBalance.verdicts(before: before, inBroker: ["work": held], after: after)
                        .filter { $0.missing > 0 }.count
                } while try await rig.effects().count < 800
                try await load.value
                try await running.stop()
                #expect(alarms == 0)
                let work = try #require(try await balance(rig)["work"])
                #expect(work.account.done == 800 && work.missing == 0)
            }
        }
    }

    // MARK: The journal

    @Test func whatAKilledIngressNotedIsBroughtInByTheNext() async throws {
        try await Rig.with { rig in
            try await withFolder { folder in
                do {
                    let killed = journal(rig, folder)
                    for number in 0..<1_000 {
                        killed.note(OutgoingMessage(exchange: .commands, envelope: Rig.message("m\(number)")))
                    }
                    // Its lock goes with its descriptor.
                }
                // Death in the middle of a line: that one was never answered for.
                let file = try #require(
                    try FileManager.default.contentsOfDirectory(atPath: folder).first)
                let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(folder)/\(file)"))
                try handle.seekToEnd()
                try handle.write(contentsOf: Data("work\tjob.create\t18000".utf8))
                try handle.close()

                let living = journal(rig, folder)
                living.note(OutgoingMessage(exchange: .commands, envelope: Rig.message("living")))
                let running = Task { try await living.run() }
                try await eventually { try await look(rig).outstanding.count == 1_001 }
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 1)
                running.cancel()
                _ = await running.result
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
            }
        }
    }

    @Test func whileTheDatabaseIsAwayNotesWaitInTheFile() async throws {
        try await Rig.with { rig in
            let port = try #require(URL(string: BrokerManagement.environment("DATABASE_URL"))?.port)
            try await withFolder { folder in
                try await withBrokerProxy(to: port) { proxy in
                    proxy.accepts = false
                    let pool = PostgresPool(
                        configuration: rig.pool.configuration.withParameter("port", "\(proxy.port)")
                            .withParameter("host", "127.0.0.1"), size: 2, acquireTimeout: .milliseconds(200),
                        shutdownTimeout: .seconds(1), logger: .silent)
                    let journal = journal(rig, folder, pool: pool)
                    for number in 0..<500 {
                        journal.note(OutgoingMessage(exchange: .commands, envelope: Rig.message("m\(number)")))
                    }
                    await #expect(throws: PostgresError.self) { try await journal.transfer() }
                    #expect(try await look(rig).outstanding.isEmpty)
                    proxy.accepts = true
                    // The pool may still be handing out the failure of an attempt that began before.
                    try await eventually {
                        do {
                            try await journal.transfer()
                            return true
                        } catch is PostgresError {
                            return false
                        }
                    }
                    #expect(try await look(rig).outstanding.count == 500)
                    await pool.shutDown()
                }
            }
        }
    }

    @Test func theFileIsEmptiedOnceItHasBeenBroughtIn() async throws {
        try await Rig.with { rig in
            try await withFolder { folder in
                let journal = journal(rig, folder)
                let file = try #require(try FileManager.default.contentsOfDirectory(atPath: folder).first)
                func size() throws -> Int {
                    let attributes = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(file)")
                    return try #require(attributes[.size] as? Int)
                }
                for number in 0..<40_000 {
                    journal.note(OutgoingMessage(exchange: .commands, envelope: Rig.message("message-\(number)")))
                }
                #expect(try size() > 1 << 20)
                try await journal.transfer()
                #expect(try size() == 0)
                journal.note(OutgoingMessage(exchange: .commands, envelope: Rig.message("late")))
                try await journal.transfer()
                let work = try #require(try await look(rig).accounts.first)
                #expect(work.accepted == 40_001)
            }
        }
    }

    @Test func aFolderThatCannotBeUsedCostsTheRecordAndNotTheMessage() async throws {
        try await Rig.with { rig in
            let journal = journal(rig, "/proc/nowhere")
            journal.note(OutgoingMessage(exchange: .commands, envelope: Rig.message("a")))
            try await journal.transfer()
            #expect(try await look(rig).accounts.isEmpty)
        }
    }

    @Test func closingForgetsWhatIsAccountedForAndNothingElse() async throws {
        try await Rig.with { rig in
            let old = Date().addingTimeInterval(-86_400 * 40)
            let entries = (0..<10).map {
                Ledger.Entry(
                    messageID: "m\($0)", routingKey: "job.create", consumers: ["work", "other"], acceptedAt: old,
                    source: .ingress)
            }
            try await Ledger.append(entries + entries.prefix(1), on: rig.pool)
            _ = try await rig.pool.query(
                """
                insert into inbox (consumer, message_id)
                select consumer, 'm' || n from generate_series(0, 7) n, unnest(array['work', 'other']) consumer
                where not (n = 7 and consumer = 'other')
                """)
            let closed = try await Ledger.close(before: Date(), on: rig.pool)
            #expect(closed == 8)
            let rest = try await look(rig).outstanding.map { "\($0.consumer) \($0.messageID)" }
            #expect(Set(rest) == ["other m7", "other m8", "other m9", "work m8", "work m9"])
            #expect(try await look(rig, since: Date()).accounts.isEmpty)
        }
    }
}
