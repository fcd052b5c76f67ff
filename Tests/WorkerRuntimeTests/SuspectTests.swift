import AMQP
import Foundation
import Messaging
import Persistence
import Postgres
import Synchronization
import TestSupport
import Testing
import WorkerRuntime

@Suite(.timeLimit(.minutes(1))) struct SuspectTests {
    @Test func deliveriesWithCrashEvidenceAreHandledOneAtATimeBesideTheOthers() async throws {
        try await Rig.with { rig in
            let suspects = (0..<12).map { Rig.message("s\($0)") }
            try await rig.publish(suspects)
            try await rig.crashWithEverything()
            let together = Mutex((now: 0, most: 0))
            let fresh = Gate()
            let running = try await rig.start(Rig.configuration(concurrency: 4, batchSize: 4)) { envelope, context in
                if envelope.id.hasPrefix("f") {
                    await fresh.pass()
                    return try await insertEffect(envelope, context)
                }
                together.withLock { together in
                    together.now += 1
                    together.most = max(together.most, together.now)
                }
                let outcome = try await insertEffect(envelope, context)
                together.withLock { $0.now -= 1 }
                return outcome
            }
            // All lanes are taken by fresh messages, and the suspects get through all the same.
            try await rig.publish((0..<16).map { Rig.message("f\($0)") })
            try await eventually { running.worker.counts.handled == 12 }
            fresh.open()
            try await eventually { running.worker.counts.handled == 28 }
            try await running.stop()
            #expect(together.withLock { $0.most } == 1)
            #expect(try await rig.pool.query("select from suspects").isEmpty)
        }
    }

    @Test func theLeastSuspectComesFirstAndTheKillerIsNotTriedAgain() async throws {
        try await Rig.with { rig in
            // What workers leave behind that died with these messages in the single lane.
            for (id, crashes) in [("killer", 3), ("unlucky", 1)] {
                for _ in 0..<crashes {
                    _ = try await Suspects.begin(consumer: "work", messageID: id, on: rig.pool)
                }
            }
            try await rig.publish("killer", "unlucky", "sibling1", "sibling2")
            try await rig.crashWithEverything()
            let seen = Record<String>()
            let running = try await rig.start { envelope, context in
                seen.add(envelope.id)
                return try await insertEffect(envelope, context)
            }
            let letter = try await rig.receive("work.dead")
            try await eventually { running.worker.counts.handled == 3 }
            try await running.stop()
            #expect(letter.properties.messageID == "killer")
            #expect(letter.properties.headers["death-reason"] == "poison")
            #expect(!seen.all.contains("killer"))
            #expect(Set(seen.all) == ["unlucky", "sibling1", "sibling2"])
            #expect(try await rig.pool.query("select from suspects").isEmpty)
        }
    }

    @Test func whoseProcessDiesAtEveryTryIsTheOnlyOneThatIsGivenUp() async throws {
        try await Rig.with { rig in
            try await rig.publish((0..<20).map { Rig.message($0 == 11 ? "killer" : "m\($0)") })
            // A worker that is as good as dead once it handles the killer: it never answers again.
            var graves: [Gate] = []
            for _ in 0..<8 {
                let isDead = Gate()
                let grave = Gate()
                graves.append(grave)
                let configuration = Rig.configuration(
                    concurrency: 2, batchSize: 4, drainDeadline: .milliseconds(300))
                let running = try await rig.start(configuration) { envelope, context in
                    if envelope.id == "killer" {
                        isDead.open()
                        await Task { await grave.pass() }.value
                    }
                    return try await insertEffect(envelope, context)
                }
                let isOver = await withTaskGroup(of: Bool.self) { group in
                    group.addTask {
                        await isDead.pass()
                        return false
                    }
                    group.addTask {
                        (try? await eventually { try await rig.ready("work.dead") == 1 }) != nil
                    }
                    defer { group.cancelAll() }
                    return await group.next() ?? true
                }
                if isOver {
                    try await eventually { try await rig.effects().count == 19 }
                    try await running.stop()
                    break
                }
                // Its connections end, and its transactions with them.
                await running.consumer.close(within: .zero)
                running.ended.cancel()
                _ = await running.ended.result
                _ = try await rig.pool.query(
                    """
                    select pg_terminate_backend(pid) from pg_stat_activity
                    where datname = current_database() and state like 'idle in transaction%'
                    """)
            }
            #expect(graves.count == 5)
            let letter = try await rig.receive("work.dead")
            #expect(letter.properties.messageID == "killer")
            #expect(letter.properties.headers["death-reason"] == "poison")
            #expect(try await rig.effects().count == 19)
            #expect(try await rig.ready("work.dead") == 0)
            for grave in graves { grave.open() }
        }
    }
}
