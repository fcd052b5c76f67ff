import AMQP
import Domain
import Foundation
import Logging
import Messaging
import Persistence
import Postgres
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing
import WorkerRuntime

/// Replay campaigns of the built program, whose owners are killed, over real dead-letter queues.
@Suite(.serialized, .timeLimit(.minutes(10))) struct ReplayCampaignTests {
    /// Canary, ramp, owners that are killed, a pause, a recall, an automatic abort, and in the end every effect once.
    ///
    /// `END_TO_END_LETTERS` makes it as large as wanted.
    @Test func aCampaignWhoseOwnersAreKilledIsRecalledAndRepeatedWithoutADoubleEffect() async throws {
        let count = ProcessInfo.processInfo.environment["END_TO_END_LETTERS"].flatMap { Int($0) } ?? 400
        try await Installation.with { neff in
            let ids = (0..<count).map { "letter-\(1_000_000 + $0)" }
            let office = try await Office(neff, letters: count)
            try await neff.start("owner-1", "worker", "dead-letters")
            try await office.bury(ids)
            #expect(
                try await neff.eventually(within: .seconds(120)) { try await office.letters("dead").count == count })

            try await office.open {
                // The first owner is killed in the middle; the second takes over, and is killed in its turn.
                let first = try await office.replay("--canary", "3", "--ramp", "10,30")
                try await office.wait(for: first) { $0.letters.done >= count / 10 }
                await neff.kill("owner-1")
                let killedAt = ContinuousClock.now
                try await neff.start("owner-2", "worker", "dead-letters")
                let before = try await office.campaign(first).letters
                try await office.wait(for: first) {
                    $0.letters.done + $0.letters.inFlight > before.done + before.inFlight
                }
                print("taken over \(ContinuousClock.now - killedAt) after the kill, start of the new owner included")
                try await office.wait(for: first) { $0.letters.done >= count / 4 }
                try await neff.start("owner-3", "worker", "dead-letters")
                await neff.kill("owner-2")

                try await neff.run("campaigns", "pause", first)
                #expect(try await neff.eventually { try await office.campaign(first).letters.inFlight == 0 })
                let paused = try await office.campaign(first).letters
                try await Task.sleep(for: .seconds(1))
                #expect(try await office.campaign(first).letters == paused && paused.waiting > 0)
                try await neff.run("campaigns", "resume", first)

                // Recalled with letters on the way.
                try await office.wait(for: first) { $0.letters.done >= count / 2 && $0.letters.inFlight > 0 }
                let recalled = try await office.json(ReplayStanding.self, "campaigns", "recall", first, "--json")
                let atRecall = try await office.effects()
                #expect(recalled.letters.done == atRecall.count && recalled.letters.inFlight == 0)
                office.pace.withLock { $0 = .milliseconds(2) }
                print("recall of \(count): \(recalled.letters)")
                try await office.drained()
                #expect(try await office.effects() == atRecall)
                let done = try await office.messages(first, "done")
                let back = try await office.messages(first, "recalled", "withdrawn")
                #expect(done == Set(atRecall) && done.isDisjoint(with: back) && done.union(back) == Set(ids))
                #expect(try await office.letters("dead") == back)

                // With a broken worker the next one stops itself.
                office.isBroken.withLock { $0 = true }
                let second = try await office.replay("--canary", "1", "--ramp", "10")
                try await office.wait(for: second) { $0.settledAt != nil }
                #expect(try await office.campaign(second).phase == "aborted")
                office.isBroken.withLock { $0 = false }
                #expect(try await office.effects() == atRecall)

                // Mended: everything that is dead, with one more kill, and every effect has happened once.
                let third = try await office.replay("--canary", "1", "--ramp", "50")
                try await office.wait(for: third) { $0.letters.done >= count / 8 }
                await neff.kill("owner-3")
                try await neff.start("owner-4", "worker", "dead-letters")
                try await office.wait(for: third) { $0.settledAt != nil }
                let last = try await office.campaign(third)
                #expect(last.phase == "done" && last.letters.failed == 0)
                #expect(try await office.effects() == ids)
                #expect(try await office.letters("dead").isEmpty)
                #expect(try await office.letters("replaying").isEmpty)
                let watched = try await neff.run("campaigns", "show", third, "--watch")
                #expect(watched.contains("done: \(last.letters.done) done"))
            }
            try await neff.run("operator-log", "verify")
        }
    }

    /// What a campaign's JSON says, as far as this needs it.
    struct ReplayStanding: Decodable {
        struct Letters: Decodable, Hashable {
            let total: Int
            let waiting: Int
            let inFlight: Int
            let done: Int
            let failed: Int
            let recalled: Int
            let withdrawn: Int
        }

        let id: String
        let phase: String
        let settledAt: Date?
        let letters: Letters
    }

    /// A worker of the queue `sync` whose effects can be counted, and the commands that are used on it.
    final class Office: Sendable {
        let neff: Installation
        let broker: AMQPConfiguration
        let isBroken = Mutex(false)
        /// How long each effect takes: long enough that a campaign is seen half done, however fast the machine is.
        let pace: Mutex<Duration>

        init(_ neff: Installation, letters: Int) async throws {
            self.neff = neff
            pace = Mutex(.milliseconds(max(2, 12_000 / letters)))
            var broker = try AMQPConfiguration(
                url: BrokerManagement.environment("AMQP_URL"), connectionName: "replay-test")
            broker.virtualHost = neff.virtualHost
            self.broker = broker
            // No constraint: what happens twice is there twice.
            _ = try await neff.pool.query("create table effects (message_id text not null)")
        }

        /// Runs the worker for the time of the body.
        func open(_ body: () async throws -> Void) async throws {
            let consumer = Consumer(
                configuration: broker, subscriptions: [Subscription(queue: "sync", prefetch: 64)],
                drainTimeout: .seconds(2), logger: .silent)
            let publisher = Publisher(configuration: broker, logger: .silent)
            let worker = Worker(
                WorkerConfiguration(
                    role: "sync", id: "counting", concurrency: 2, batchSize: 4,
                    retryPolicy: RetryPolicy(maxAttempts: 3)),
                handler: Counting(office: self), consumer: consumer, publisher: publisher, pool: neff.pool,
                logger: .silent)
            let group = ServiceGroup(
                configuration: ServiceGroupConfiguration(services: [publisher, consumer, worker], logger: .silent))
            let run = Task { try await group.run() }
            let outcome: Result<Void, any Error>
            do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
            await group.triggerGracefulShutdown()
            try await run.value
            try outcome.get()
        }

        private struct Counting: MessageHandler {
            let office: Office

            func handle(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome {
                if office.isBroken.withLock({ $0 }) { return .deadLetter(code: "broken", detail: "on purpose") }
                _ = try await context.transaction.query("insert into effects (message_id) values (\(envelope.id))")
                try await Task.sleep(for: office.pace.withLock { $0 })
                return .done
            }
        }

        /// Puts messages into the dead-letter queue of `sync`, for the journal.
        func bury(_ ids: [String]) async throws {
            let publisher = Publisher(configuration: broker, logger: .silent)
            let run = Task { try await publisher.run() }
            defer { run.cancel() }
            try await publisher.waitUntilConnected(within: .seconds(20))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for id in ids {
                    group.addTask {
                        let envelope = Envelope(
                            id: id, type: .calendly("invitee.created"), timestamp: Date(), body: Array("{}".utf8))
                        var publication = OutgoingMessage(exchange: .dead, routingKey: "sync", envelope: envelope)
                            .publication
                        publication.properties.headers[HeaderName.deathReason] = "rejected"
                        publication.properties.headers[HeaderName.deathCode] = "broken"
                        try await publisher.publish(publication)
                    }
                }
                try await group.waitForAll()
            }
        }

        func effects() async throws -> [String] {
            try await neff.pool.query("select message_id from effects order by 1").map { try $0.decode("message_id") }
        }

        func letters(_ status: String) async throws -> Set<String> {
            Set(
                try await neff.pool.query("select message_id from dead_letters where status = \(status)")
                    .map { try $0.decode("message_id", as: String.self) })
        }

        func messages(_ campaign: String, _ states: String...) async throws -> Set<String> {
            Set(
                try await neff.pool.query(
                    "select message_id from replay_letters where campaign_id = \(campaign) and state = any(\(states))"
                ).map { try $0.decode("message_id", as: String.self) })
        }

        /// Waits until nothing is in the work queue or in hand.
        func drained() async throws {
            let connection = try await Connection.open(broker, logger: .silent)
            while try await connection.checkQueue("sync").messageCount > 0 {
                try await Task.sleep(for: .milliseconds(50))
            }
            await connection.close()
            // Twice the longest that a batch is in hand.
            try await Task.sleep(for: .seconds(1))
        }

        func json<Value: Decodable>(_ type: Value.Type, _ arguments: String...) async throws -> Value {
            let (code, output, errors) = try await neff.execute(arguments)
            guard code == 0 else { throw ProcessFailure(arguments: arguments, code: code, output: errors) }
            return try WireJSON.decode(type, from: output.utf8)
        }

        func campaign(_ id: String) async throws -> ReplayStanding {
            guard let id = ReplayCampaignID(rawValue: id),
                let campaign = try await ReplayCampaigns.find(id, on: neff.pool)
            else { throw ProcessFailure(arguments: [id], code: -1, output: "no such campaign") }
            return try WireJSON.decode(ReplayStanding.self, from: try WireJSON.encode(ReplayCampaignView(campaign)))
        }

        func wait(for id: String, _ condition: (ReplayStanding) -> Bool) async throws {
            let deadline = ContinuousClock.now + .seconds(300)
            while true {
                let standing = try await campaign(id)
                if condition(standing) { return }
                try #require(standing.settledAt == nil, "the campaign is over: \(standing)")
                try #require(ContinuousClock.now < deadline, "the campaign does not get on: \(standing)")
                try await Task.sleep(for: .milliseconds(20))
            }
        }

        /// Replays everything dead of `sync`, and gives the campaign's id.
        func replay(_ rules: String...) async throws -> String {
            let plan = try await neff.run("dead-letters", "replay", "--queue", "sync", "--dry-run")
            #expect(plan.contains("WOULD GO TO"))
            let arguments =
                [
                    "dead-letters", "replay", "--queue", "sync", "--rate", "none", "--max-in-flight", "100", "--reason",
                    "test",
                ]
                + rules
            let (code, output, errors) = try await neff.execute(arguments)
            guard code == 0 else { throw ProcessFailure(arguments: arguments, code: code, output: errors) }
            return output.trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }
}
