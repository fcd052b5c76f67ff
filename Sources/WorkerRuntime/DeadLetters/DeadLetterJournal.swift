package import AMQP
import Domain
import Foundation
package import Logging
import Metrics
import Persistence
package import Postgres
import ServiceLifecycle

/// Moves dead letters from the broker into PostgreSQL, where they can be looked at without spending deliveries.
///
/// It is the only consumer of the dead-letter queues and of `unrouted`. A letter is acknowledged after its row has been
/// committed; a second copy of the same death adds nothing. While PostgreSQL is away it waits with what it has in hand.
package final class DeadLetterJournal: Service, Sendable {
    /// Letters in one transaction.
    static let batchSize = 50

    private let consumer: Consumer
    private let pool: PostgresPool
    private let logger: Logger

    /// - Parameter consumer: with one subscription for each `<work queue>.dead`, and one for `unrouted`.
    package init(consumer: Consumer, pool: PostgresPool, logger: Logger) {
        self.consumer = consumer
        self.pool = pool
        self.logger = logger
    }

    /// Journals until graceful shutdown. What the consumer has buffered then stays with the broker.
    package func run() async throws {
        await untilGracefulShutdown { [self] in
            await fingerprintOlder()
            while !Task.isCancelled {
                let deliveries = await consumer.nextBatch(upTo: Self.batchSize)
                if deliveries.isEmpty { return }
                await journal(deliveries)
            }
        }
    }

    /// Gives the letters of older programs what this one adds. A failure costs the next start a try.
    private func fingerprintOlder() async {
        do {
            let count = try await DeadLetters.fingerprintOlder(on: pool)
            if count > 0 { logger.info("older letters got fingerprints", metadata: [LogKey.count: "\(count)"]) }
        } catch {
            logger.warning("older letters got no fingerprints", metadata: [LogKey.errorDetail: "\(error)"])
        }
    }

    private func journal(_ deliveries: [Delivery]) async {
        let letters = deliveries.map { DeadLetter($0, id: .make(), now: Date()) }
        if await write(letters, isLastWord: letters.count == 1) {
            for delivery in deliveries { consumer.acknowledge(delivery) }
            for letter in letters {
                Counter(
                    label: "dead_letters.journaled", dimensions: [("queue", letter.queue), ("reason", letter.reason)]
                ).increment()
            }
        } else if !Task.isCancelled {
            // One that cannot be written must not keep the others out.
            for delivery in deliveries { await journal([delivery]) }
        }
    }

    /// Writes letters, waiting for PostgreSQL.
    ///
    /// - Parameter isLastWord: whether to keep trying, with less of the letter, instead of answering false.
    /// - Returns: whether they are in the journal.
    private func write(_ letters: [DeadLetter], isLastWord: Bool) async -> Bool {
        var letters = letters
        var restarts = InPlaceRestarts()
        while !Task.isCancelled {
            do {
                let batch = letters
                // Shielded: a write that is cut off leaves letters whose rows are there to be delivered again.
                try await Task { try await DeadLetters.insert(batch, on: self.pool) }.value
                return true
            } catch {
                // Nothing is wrong with the letters then.
                let isPassing =
                    switch FailureCause(error) {
                    case .databaseAway, .contention: true
                    default: false
                    }
                logger.log(
                    level: isPassing ? .info : .error, "dead letters not written, trying again",
                    metadata: [LogKey.count: "\(letters.count)", LogKey.errorDetail: "\(error)"])
                if !isPassing {
                    if !isLastWord { return false }
                    // The body is what matters; headers that the database cannot take are given up for it.
                    for index in letters.indices {
                        letters[index].headersJSON = "{}"
                        letters[index].propertiesJSON = "{}"
                    }
                }
                try? await Task.sleep(for: restarts.pause())
            }
        }
        return false
    }
}
