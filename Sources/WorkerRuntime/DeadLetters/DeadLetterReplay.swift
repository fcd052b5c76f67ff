package import AMQP
package import Domain
import Metrics
import Persistence
package import Postgres

/// Publishes dead letters again, for operators.
package struct DeadLetterReplay: Sendable {
    /// What became of each letter.
    package struct Report: Sendable {
        package var replayed: [DeadLetterID] = []
        /// Not confirmed by the broker, or not readable; still dead.
        package var failed: [DeadLetterID: String] = [:]
        /// Not there, or not dead any more.
        package var passedOver: [DeadLetterID] = []
    }

    /// Letters in one transaction.
    private static let batchSize = 100

    private let pool: PostgresPool
    private let publisher: Publisher

    package init(pool: PostgresPool, publisher: Publisher) {
        self.pool = pool
        self.publisher = publisher
    }

    /// Publishes letters to where they came from, and marks those that the broker has confirmed.
    ///
    /// If this is cut off between confirm and commit a letter is out and still marked dead; replaying it again does no
    /// harm, because the message id is the same and the inbox lets its effect happen once.
    /// - Throws: `PostgresError`; letters of earlier batches stay replayed.
    package func replay(_ ids: [DeadLetterID], by who: String) async throws -> Report {
        var report = Report()
        var rest = ids[...]
        while !rest.isEmpty {
            let batch = Array(rest.prefix(Self.batchSize))
            rest = rest.dropFirst(batch.count)
            try await replay(batch, by: who, into: &report)
        }
        Counter(label: "dead_letters.replayed").increment(by: report.replayed.count)
        return report
    }

    private func replay(_ ids: [DeadLetterID], by who: String, into report: inout Report) async throws {
        let outcome = try await pool.withTransaction { transaction in
            var outcome = Report()
            let letters = try await DeadLetters.lockDead(ids, in: transaction)
            outcome.passedOver = Array(Set(ids).subtracting(letters.map(\.id)))
            for (id, failure) in await publish(letters) {
                if let failure { outcome.failed[id] = failure } else { outcome.replayed.append(id) }
            }
            try await DeadLetters.markReplayed(outcome.replayed, by: who, in: transaction)
            return outcome
        }
        report.replayed += outcome.replayed
        report.failed.merge(outcome.failed) { _, new in new }
        report.passedOver += outcome.passedOver
    }

    private func publish(_ letters: [DeadLetter]) async -> [(DeadLetterID, String?)] {
        await withTaskGroup(of: (DeadLetterID, String?).self) { group in
            for letter in letters {
                group.addTask { [publisher] in
                    do {
                        try await publisher.publish(letter.replay())
                        return (letter.id, nil)
                    } catch {
                        return (letter.id, "\(error)")
                    }
                }
            }
            var results: [(DeadLetterID, String?)] = []
            for await result in group { results.append(result) }
            return results
        }
    }
}
