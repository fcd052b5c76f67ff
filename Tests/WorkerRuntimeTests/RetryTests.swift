import AMQP
import Foundation
import Messaging
import Persistence
import Postgres
import TestSupport
import Testing
import WorkerRuntime

@Suite(.timeLimit(.minutes(1))) struct RetryTests {
    @Test func aFailingMessageComesBackThroughTheTiersWithItsHistory() async throws {
        try await Rig.with { rig in
            let seen = Record<Envelope>()
            try await rig.publish("a")
            let running = try await rig.start { envelope, context in
                switch seen.add(envelope) {
                case 1:
                    _ = try await insertEffect(envelope, context)
                    throw WorkerTests.Odd()
                case 2: return .retry(code: "smtp.451", detail: "greylisted")
                case 3:
                    _ = try await context.transaction.query("select no_such_column")
                    return .done
                default: return try await insertEffect(envelope, context)
                }
            }
            try await eventually { running.worker.counts.handled == 1 }
            try await running.stop()
            #expect(try await rig.effects() == ["a"])
            let last = try #require(seen.all.last)
            #expect(last.attemptCount == 3)
            #expect(last.attempts.map(\.code) == ["error.Odd", "smtp.451", "db.42703"])
            #expect(last.attempts.allSatisfy { $0.worker == "work-1" })
            #expect(seen.all.map(\.attemptCount) == [0, 1, 2, 3])
            #expect(running.worker.counts.retried == 3)
        }
    }

    @Test func aQueueWithOtherTiersHasItsOwnPolicy() async throws {
        try await Rig.with { rig in
            // The role's policy names a tier that this queue has not got; a retry there would never be confirmed.
            var configuration = Rig.configuration()
            configuration.retryPolicy = RetryPolicy(tiers: [RetryTier(name: "elsewhere", delay: .seconds(1))])
            configuration.retryPolicies = [Rig.queue: Rig.policy]
            let counts = try await attemptsOfOneThatFailsOnce(rig, configuration)
            #expect(counts == [0, 1])
        }
    }

    /// What a message counted as its attempts before, each time that it came to a handler that fails the first time.
    private func attemptsOfOneThatFailsOnce(
        _ rig: Rig, _ configuration: WorkerConfiguration = Rig.configuration()
    ) async throws -> [Int] {
        let seen = Record<Envelope>()
        let running = try await rig.start(configuration) { envelope, context in
            if seen.add(envelope) == 1 { throw WorkerTests.Odd() }
            return try await insertEffect(envelope, context)
        }
        try await rig.publish("a")
        try await eventually { running.worker.counts.handled == 1 }
        try await running.stop()
        return seen.all.map(\.attemptCount)
    }

    @Test func theLastAttemptEndsInTheDeadLetterQueueWithEveryReason() async throws {
        try await Rig.with { rig in
            try await rig.publish("a")
            let running = try await rig.start { _, _ in throw WorkerTests.Odd() }
            let letter = try await rig.receive("work.dead")
            try await running.stop()
            #expect(letter.properties.headers["death-reason"] == "exhausted")
            #expect(letter.properties.headers["death-code"] == "error.Odd")
            #expect(letter.properties.headers["attempts"]?.array?.count == 4)
            #expect(letter.properties.headers["attempt"]?.integer == 4)
            #expect(letter.properties.headers["x-death"] == nil)
            #expect(try await rig.effects() == [])
            #expect(try await rig.pool.query("select 1 as one from inbox").isEmpty)
        }
    }

    @Test func aRetryQueueThatIsMissingIsPassedOver() async throws {
        try await Rig.with { rig in
            _ = try await rig.withConnection { try await $0.deleteQueue("work.retry.50ms") }
            let counts = try await attemptsOfOneThatFailsOnce(rig)
            #expect(counts == [0, 1])
        }
    }

    /// A full queue refuses, and a worker that waited for room would hold up what it has done in the same batch.
    @Test func aRetryQueueThatIsFullHoldsNobodyUp() async throws {
        try await Rig.with { rig in
            try await rig.withConnection { connection in
                for name in ["50ms", "150ms.a", "150ms.b"] {
                    try await connection.deleteQueue("work.retry.\(name)")
                    try await connection.declareQueue(
                        "work.retry.\(name)",
                        arguments: ["x-queue-type": "quorum", "x-max-length": 0, "x-overflow": "reject-publish"])
                    try await connection.bind(
                        queue: "work.retry.\(name)", to: "retry", routingKey: "work.retry.\(name)")
                }
                // A quorum queue goes past its limit by what comes before it knows its own length.
                var isFull = false
                while !isFull {
                    for name in ["50ms", "150ms.a", "150ms.b"] {
                        do {
                            try await connection.publish(
                                Publication(exchange: "retry", routingKey: "work.retry.\(name)", body: [0]))
                        } catch let error as PublishError where error.kind == .refused {
                            isFull = name == "150ms.b"
                        }
                    }
                }
            }
            let running = try await rig.start(Rig.configuration(concurrency: 1, batchSize: 8)) { envelope, context in
                if envelope.id == "bad" { return .retry(code: "smtp.451", detail: "greylisted") }
                return try await insertEffect(envelope, context)
            }
            try await rig.publish("bad", "good")
            let letter = try await rig.receive("work.dead")
            try await eventually { running.worker.counts.handled == 1 }
            try await running.stop()
            #expect(letter.properties.headers["death-reason"] == "exhausted")
            #expect(letter.properties.headers["death-code"] == "smtp.451")
            #expect(letter.properties.headers["death-detail"] == "greylisted (and no retry queue takes it)")
        }
    }

    /// Its headers fill the frame, so neither a tier nor the exchange `dead` can be sent what it failed of.
    @Test func aMessageTooLargeToBeMovedIsLeftToTheBroker() async throws {
        try await Rig.with { rig in
            try await rig.withConnection { connection in
                var publication = OutgoingMessage(exchange: .commands, envelope: Rig.message("a")).publication
                var size = 131_072
                while true {
                    publication.properties.headers["padding"] = .string(String(repeating: "x", count: size))
                    do throws(PublishError) {
                        try await connection.publish(publication)
                        break
                    } catch {
                        guard case .invalid = error.kind else { throw error }
                        size -= 16
                    }
                }
            }
            let running = try await rig.start { _, _ in throw WorkerTests.Odd() }
            let letter = try await rig.receive("work.dead")
            try await running.stop()
            #expect(letter.properties.messageID == "a")
            #expect(running.worker.counts.deadLettered == 1)
        }
    }
}
