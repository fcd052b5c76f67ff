import AMQP
import Foundation
import Logging
import Messaging
import Metrics
import Persistence
import Postgres
import Synchronization

/// The lane of deliveries with crash evidence: one at a time, each alone, those that have killed most often last.
///
/// What travelled with a killer is cleared first, so that its broker-side count of returns stops growing, and only the
/// killer is still here when it kills again. After `maxSoloCrashes` it is dead-lettered without another try; the queue's
/// delivery limit stays as the backstop.
final class SuspectLane: Sendable {
    let role: String
    let policy: RetryPolicy
    let pool: PostgresPool
    let logger: Logger

    private let waiting = Mutex<[Job]>([])
    private let arrival = Signal()
    private let gauge = Gauge(label: "worker.suspects")

    init(role: String, policy: RetryPolicy, pool: PostgresPool, logger: Logger) {
        self.role = role
        self.policy = policy
        self.pool = pool
        self.logger = logger
    }

    func add(_ jobs: [Job]) {
        let count = waiting.withLock { waiting in
            waiting += jobs
            return waiting.count
        }
        gauge.record(count)
        arrival.notify()
    }

    /// What has not been begun.
    func takeAll() -> [Job] {
        let jobs = waiting.withLock { waiting in
            let jobs = waiting
            waiting = []
            return jobs
        }
        gauge.record(0)
        return jobs
    }

    /// The next suspect, waiting for one; nil once the task is cancelled.
    func next() async -> Job? {
        while !Task.isCancelled {
            if let job = await leastSuspect() { return job }
            await arrival.wait()
        }
        return nil
    }

    /// Runs one suspect.
    ///
    /// - Parameter work: handles and settles it; gets a result if the suspect must not be run.
    func tryAlone(_ job: Job, _ work: (JobResult?) async -> Void) async {
        guard let crashes = await begin(job) else { return await work(.interrupted) }
        if crashes > 0 {
            logger.warning(
                "a message is tried alone again after a crash",
                metadata: [
                    LogKey.messageID: "\(job.envelope.id)", LogKey.correlationID: "\(job.envelope.correlationID)",
                    LogKey.count: "\(crashes)",
                ])
        }
        await work(SuspectOrder.result(afterCrashes: crashes, policy: policy))
        // A note that stays by mistake makes the message look worse than it is, should it ever be a suspect again.
        for _ in 0..<5 {
            do {
                // Shielded: after a drain's deadline as well, it was survived.
                return try await Task { [role, pool] in
                    try await Suspects.end(consumer: role, messageID: job.envelope.id, on: pool)
                }.value
            } catch {
                try? await Task.sleep(for: .milliseconds(200))
            }
        }
    }

    private func leastSuspect() async -> Job? {
        let ids = waiting.withLock { $0.map(\.envelope.id) }
        guard !ids.isEmpty else { return nil }
        var tries: [String: Int] = [:]
        if ids.count > 1 {
            // Without the notes, the order of arrival has to do.
            tries = (try? await Suspects.tries(consumer: role, messageIDs: ids, on: pool)) ?? [:]
        }
        let (job, rest) = waiting.withLock { waiting -> (Job?, Int) in
            let best = SuspectOrder.next(among: waiting.map(\.envelope.id), tries: tries)
            return (best.map { waiting.remove(at: $0) }, waiting.count)
        }
        gauge.record(rest)
        return job
    }

    /// Notes the try, waiting for PostgreSQL; nil once the task is cancelled.
    private func begin(_ job: Job) async -> Int? {
        var restarts = InPlaceRestarts()
        while !Task.isCancelled {
            do {
                // Shielded: a statement that is cut off may have counted all the same.
                return try await Task { [role, pool] in
                    try await Suspects.begin(consumer: role, messageID: job.envelope.id, on: pool)
                }.value
            } catch {
                logger.info("a suspect waits for PostgreSQL", metadata: [LogKey.errorDetail: "\(error)"])
                try? await Task.sleep(for: restarts.pause())
            }
        }
        return nil
    }
}
