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
            #expect(try await rig.pool.query("select 1 as one from suspects").isEmpty)
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
            #expect(try await rig.pool.query("select 1 as one from suspects").isEmpty)
        }
    }
}
