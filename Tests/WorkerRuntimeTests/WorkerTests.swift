import AMQP
import Foundation
import Messaging
import Persistence
import Postgres
import TestSupport
import Testing
import WorkerRuntime

@Suite(.timeLimit(.minutes(1))) struct WorkerTests {
    struct Odd: Error {}

    @Test(arguments: [1, 16]) func copiesOfAMessageHaveOneEffect(batchSize: Int) async throws {
        try await Rig.with { rig in
            try await rig.publish(Array(repeating: Rig.message("a"), count: 20) + [Rig.message("b")])
            let running = try await rig.start(Rig.configuration(batchSize: batchSize), handle: insertEffect)
            try await eventually { running.worker.counts.handled == 21 }
            try await running.stop()
            #expect(try await rig.effects() == ["a", "b"])
            #expect(try await rig.ready(Rig.queue) == 0)
        }
    }

    @Test func aConnectionLostBetweenCommitAndAckRepeatsTheDeliveryButNotTheEffect() async throws {
        try await Rig.with { rig in
            try await withBrokerProxy(to: rig.broker.port) { proxy in
                var broker = rig.broker
                broker.port = proxy.port
                try await rig.publish("a")
                let running = try await rig.start(consumerBroker: broker) { envelope, context in
                    // From here on the broker hears nothing of the consumer, so the ack is lost.
                    proxy.behaviour = .blackHole
                    return try await insertEffect(envelope, context)
                }
                try await eventually { running.worker.counts.handled == 1 }
                #expect(try await rig.effects() == ["a"])
                proxy.behaviour = .pass
                proxy.cut()
                // The copy is marked as redelivered, goes through the single lane, and is found in the inbox.
                try await eventually { running.worker.counts.handled == 2 }
                try await running.stop()
                #expect(try await rig.effects() == ["a"])
                #expect(try await rig.ready(Rig.queue) == 0)
            }
        }
    }

    @Test func whatCanNeverWorkIsDeadLetteredAtOnce() async throws {
        try await Rig.with { rig in
            let running = try await rig.start { envelope, context in
                _ = try await insertEffect(envelope, context)
                if envelope.id == "bytes" { _ = try WireJSON.decode([Int].self, from: envelope.body) }
                return .deadLetter(code: "smtp.550", detail: "no such user")
            }
            try await rig.publish([Rig.message("a")])
            let rejected = try await rig.receive("work.dead")
            #expect(rejected.properties.headers["death-reason"] == "rejected")
            #expect(rejected.properties.headers["death-code"] == "smtp.550")
            try await rig.publish([Rig.message("bytes", "{\"secret\":1}")])
            let undecodable = try await rig.receive("work.dead")
            #expect(undecodable.properties.headers["death-reason"] == "undecodable")
            #expect(undecodable.properties.headers["death-code"] == "decode")
            #expect(undecodable.properties.headers["death-detail"]?.string?.contains("secret") == false)
            try await running.stop()
            #expect(try await rig.effects() == [])
            #expect(running.worker.counts.deadLettered == 2 && running.worker.counts.retried == 0)
        }
    }

    @Test func whatTheDatabaseCanNeverStoreIsDeadLetteredAtOnce() async throws {
        try await Rig.with { rig in
            let running = try await rig.start(Rig.configuration(batchSize: 4)) { envelope, context in
                if envelope.id == "bad" { _ = try await context.transaction.query("select 'x'::text::integer") }
                return try await insertEffect(envelope, context)
            }
            try await rig.publish("bad", "good")
            let letter = try await rig.receive("work.dead")
            try await eventually { running.worker.counts.handled == 1 }
            try await running.stop()
            #expect(letter.properties.headers["death-reason"] == "rejected")
            #expect(letter.properties.headers["death-code"] == "db.22P02")
            #expect(running.worker.counts.retried == 0)
            #expect(try await rig.effects() == ["good"])
        }
    }

    @Test func aDeliveryThatIsNoMessageIsDeadLetteredAsItCame() async throws {
        try await Rig.with { rig in
            let running = try await rig.start { _, _ in
                Issue.record("nothing to handle")
                return .done
            }
            try await rig.withConnection { connection in
                try await connection.publish(
                    Publication(
                        exchange: "commands", routingKey: "job.create",
                        properties: BasicProperties(headers: ["tenant": "x", "x-death": "forged"], correlationID: "c"),
                        body: [0, 1, 2]))
            }
            let letter = try await rig.receive("work.dead")
            try await running.stop()
            #expect(letter.body == [0, 1, 2])
            #expect(letter.properties.correlationID == "c")
            #expect(letter.properties.headers["tenant"] == "x")
            #expect(letter.properties.headers["x-death"] == nil)
            #expect(letter.properties.headers["death-reason"] == "undecodable")
            #expect(letter.properties.headers["death-detail"]?.string?.contains("message_id") == true)
        }
    }

    @Test func aHandlerThatTakesTooLongIsCancelledAndTheMessageRetried() async throws {
        try await Rig.with { rig in
            let seen = Record<Envelope>()
            let running = try await rig.start(Rig.configuration(handlerTimeout: .milliseconds(200))) {
                envelope, context in
                if seen.add(envelope) == 1 {
                    _ = try await insertEffect(envelope, context)
                    // Held by the server; only a cancelled statement ends it in time.
                    _ = try await context.transaction.query("select pg_sleep(3600)")
                }
                return try await insertEffect(envelope, context)
            }
            try await rig.publish("a")
            try await eventually { running.worker.counts.handled == 1 }
            try await running.stop()
            #expect(seen.all.last?.attempts.map(\.code) == ["timeout"])
            #expect(try await rig.effects() == ["a"])
        }
    }

    @Test func oneBadMessageOfABatchFailsAloneAndTheOthersShareATransaction() async throws {
        try await Rig.with { rig in
            try await rig.publish((0..<20).map { Rig.message("m\($0)") })
            let running = try await rig.start(Rig.configuration(concurrency: 1, batchSize: 20)) { envelope, context in
                _ = try await context.transaction.query(
                    "insert into effects (message_id, note) values (\(envelope.id), txid_current()::text)")
                if envelope.id == "m7" { _ = try await context.transaction.query("select no_such_column") }
                return .done
            }
            _ = try await rig.receive("work.dead")
            try await eventually { running.worker.counts.handled == 19 }
            try await running.stop()
            let effects = try await rig.effects()
            #expect(effects.count == 19 && !effects.contains("m7"))
            let rows = try await rig.pool.query("select count(distinct note)::int as n from effects")
            #expect(try rows[0].decode("n", as: Int.self) < 10)
            #expect(try await rig.pool.query("select 1 as one from inbox where message_id = 'm7'").isEmpty)
        }
    }

    /// What is written in a savepoint bears another transaction id than the transaction itself.
    @Test(arguments: [false, true]) func aBatchHasSavepointsOnlyOnceAMessageHasFailed(hasBadOne: Bool) async throws {
        try await Rig.with { rig in
            try await rig.publish((0..<20).map { Rig.message("m\($0)") })
            let running = try await rig.start(Rig.configuration(concurrency: 1, batchSize: 20)) { envelope, context in
                if hasBadOne, envelope.id == "m7" { return .deadLetter(code: "bad", detail: "as told") }
                _ = try await context.transaction.query(
                    """
                    insert into effects (message_id, note)
                    values (\(envelope.id), (txid_current() % 4294967296)::text)
                    """)
                return .done
            }
            try await eventually { running.worker.counts.handled == (hasBadOne ? 19 : 20) }
            try await running.stop()
            let rows = try await rig.pool.query(
                """
                select count(*) filter (where inbox.xmin::text = note)::int as plain, count(*)::int as all
                from inbox join effects using (message_id)
                """)
            let (plain, all) = (try rows[0].decode("plain", as: Int.self), try rows[0].decode("all", as: Int.self))
            #expect(hasBadOne ? plain < all : plain == all)
        }
    }

    @Test func aBatchThatCannotCommitIsTakenApart() async throws {
        try await Rig.with { rig in
            // Checked at commit only, where no savepoint helps.
            _ = try await rig.pool.query(
                "alter table effects add constraint once unique (note) deferrable initially deferred")
            try await rig.publish((0..<8).map { Rig.message("m\($0)") })
            let running = try await rig.start(Rig.configuration(concurrency: 1, batchSize: 8)) { envelope, context in
                let note = envelope.id == "m3" || envelope.id == "m4" ? "same" : envelope.id
                _ = try await context.transaction.query(
                    "insert into effects (message_id, note) values (\(envelope.id), \(note))")
                return .done
            }
            let letter = try await rig.receive("work.dead")
            try await eventually { running.worker.counts.handled == 7 }
            try await running.stop()
            #expect(letter.properties.headers["death-code"] == "db.23505")
            #expect(try await rig.effects().count == 7)
        }
    }

    @Test func aDeadlockIsRunAgainInPlace() async throws {
        try await Rig.with { rig in
            _ = try await rig.pool.query("create table accounts (id int primary key, n int not null)")
            _ = try await rig.pool.query("insert into accounts values (1, 0), (2, 0)")
            let seen = Record<String>()
            let met = Gate()
            let won = Gate()
            let running = try await rig.start(Rig.configuration(concurrency: 2)) { envelope, context in
                let (first, second) = envelope.id == "a" ? (1, 2) : (2, 1)
                // The loser's new transaction might take its row again before the winner wakes up: a deadlock more.
                if seen.all.count == 2 { await won.pass() }
                _ = try await context.transaction.query("update accounts set n = n + 1 where id = \(first)")
                // The first round holds both locks before either asks for the second one.
                if seen.add(envelope.id) <= 2 {
                    if seen.all.count == 2 { met.open() }
                    await met.pass()
                }
                _ = try await context.transaction.query("update accounts set n = n + 1 where id = \(second)")
                return try await insertEffect(envelope, context)
            }
            try await rig.publish("a", "b")
            try await eventually { running.worker.counts.handled == 1 }
            won.open()
            try await eventually { running.worker.counts.handled == 2 }
            try await running.stop()
            #expect(seen.all.count == 3)
            #expect(running.worker.counts.retried == 0)
            let rows = try await rig.pool.query("select sum(n)::int as n from accounts")
            #expect(try rows[0].decode("n", as: Int.self) == 4)
        }
    }

    @Test func aTerminatedBackendCostsNoAttempt() async throws {
        try await Rig.with { rig in
            let seen = Record<Envelope>()
            let running = try await rig.start { envelope, context in
                if seen.add(envelope) == 1 {
                    let rows = try await context.transaction.query("select pg_backend_pid() as pid")
                    let pid = try rows[0].decode("pid", as: Int.self)
                    _ = try await rig.pool.query("select pg_terminate_backend(\(pid)::int)")
                }
                return try await insertEffect(envelope, context)
            }
            try await rig.publish("a")
            try await eventually { running.worker.counts.handled == 1 }
            try await running.stop()
            #expect(seen.all.map(\.attemptCount) == [0, 0])
            #expect(running.worker.counts.retried == 0)
            #expect(try await rig.effects() == ["a"])
        }
    }

    @Test func whilePostgresIsAwayNothingIsSpentAndNothingIsLost() async throws {
        try await Rig.with { rig in
            let port = try #require(URL(string: BrokerManagement.environment("DATABASE_URL"))?.port)
            try await withBrokerProxy(to: port) { proxy in
                let pool = PostgresPool(
                    configuration: rig.pool.configuration.withParameter("port", "\(proxy.port)")
                        .withParameter("host", "127.0.0.1"), size: 4, acquireTimeout: .milliseconds(300),
                    logger: .silent)
                let seen = Record<Envelope>()
                let running = try await rig.start(Rig.configuration(batchSize: 4), workerPool: pool) {
                    envelope, context in
                    seen.add(envelope)
                    return try await insertEffect(envelope, context)
                }
                try await rig.publish("before")
                try await eventually { running.worker.counts.handled == 1 }
                proxy.accepts = false
                proxy.cut()
                try await rig.publish((0..<30).map { Rig.message("m\($0)") })
                // Every lane has work, and sees its transactions fail again and again; nothing is settled.
                try await eventually { running.worker.counts.inFlight >= 4 }
                let attempts = proxy.accepted
                try await eventually { proxy.accepted >= attempts + 10 }
                #expect(running.worker.counts.handled == 1 && running.worker.counts.retried == 0)
                proxy.accepts = true
                try await eventually { running.worker.counts.handled == 31 }
                try await running.stop()
                await pool.shutDown()
                #expect(try await rig.effects().count == 31)
                #expect(seen.all.allSatisfy { $0.attemptCount == 0 })
                #expect(running.worker.counts.deadLettered == 0)
            }
        }
    }

    @Test func anEffectHandlerRunsWithoutATransactionOfOurs() async throws {
        struct Mailer: EffectHandler {
            let rig: Rig
            let seen: Record<Envelope>

            func handle(_ envelope: Envelope, in context: EffectContext) async throws -> Outcome {
                let isFirst = seen.add(envelope) == 1
                let isNew = try await context.pool.withTransaction { transaction in
                    // Before the claim: the other copy may win that, and then nothing would be left to fail.
                    if isFirst { throw PostgresError(.connectionLost, "as if it had been") }
                    guard try await Inbox.insert(consumer: context.role, messageID: envelope.id, in: transaction)
                    else { return false }
                    let child = Envelope(
                        id: envelope.id + "/sent", type: .jobScheduled, timestamp: context.now(), body: [])
                    try await Outbox.insert(
                        OutgoingMessage(exchange: .events, envelope: child), in: transaction)
                    return true
                }
                context.relayOutbox()
                return isNew ? .done : .ignored(reason: "sent before")
            }
        }
        try await Rig.with { rig in
            let seen = Record<Envelope>()
            // Only the wake-up can relay within the time limit.
            let running = try await rig.start(relayInterval: .seconds(600)) { consumer, publisher, relay in
                Worker(
                    Rig.configuration(), effects: Mailer(rig: rig, seen: seen), consumer: consumer,
                    publisher: publisher, pool: rig.pool, relay: relay, logger: .silent)
            }
            try await rig.publish("a", "a")
            try await eventually { running.worker.counts.handled == 2 }
            #expect(try await rig.receive("unrouted").properties.messageID == "a/sent")
            try await running.stop()
            #expect(seen.all.count == 3)
            #expect(try await rig.ready("unrouted") == 0)
        }
    }

    @Test func aWorkerReportsThatItLivesAndThatItStopped() async throws {
        try await Rig.with { rig in
            try await rig.publish("a")
            let running = try await rig.start(handle: insertEffect)
            try await eventually {
                try await Workers.seen(within: .seconds(60), on: rig.pool).first?.counts.handled == 1
            }
            let record = try #require(try await Workers.seen(within: .seconds(60), on: rig.pool).first)
            #expect(record.identity.role == "work" && record.stoppedAt == nil)
            try await running.stop()
            let after = try #require(try await Workers.seen(within: .seconds(60), on: rig.pool).first)
            #expect(after.stoppedAt != nil)
        }
    }
}
