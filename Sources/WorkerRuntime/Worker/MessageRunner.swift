import Foundation
import Logging
import Messaging
import Metrics
import Persistence
import Postgres
import Synchronization
import Traces

/// Runs message handlers: inbox row, effect and outbox rows in one transaction, several messages in one if they are there.
///
/// In a batch each message has a savepoint, so one that fails is undone by itself. What cannot be undone by a savepoint (a
/// deadlock, a broken connection, a failed commit) takes the batch apart: its messages are run one by one, and each answers
/// for itself.
struct MessageRunner: JobRunner {
    let handler: any MessageHandler
    let settings: RunnerSettings

    private let batchSizes = Recorder(label: "worker.batch.size")
    private let fallbacks = Counter(label: "worker.batch.fallbacks")

    /// An outcome that leaves nothing behind in the database; thrown to undo the transaction or savepoint.
    private struct Undone: Error {
        let outcome: Outcome
    }

    init(handler: any MessageHandler, settings: RunnerSettings) {
        self.handler = handler
        self.settings = settings
    }

    var maxBatchSize: Int { settings.configuration.batchSize }

    func run(_ jobs: [Job]) async -> [JobResult] {
        batchSizes.record(jobs.count)
        if jobs.count > 1 {
            // In the order of ids: lanes that hold copies of the same messages claim them in the same order, so that
            // they wait for each other instead of deadlocking.
            let order = jobs.indices.sorted { jobs[$0].envelope.id < jobs[$1].envelope.id }
            if let results = await runBatch(order.map { jobs[$0] }) {
                var sorted = results
                for (position, index) in order.enumerated() { sorted[index] = results[position] }
                return sorted
            }
            fallbacks.increment()
        }
        var results: [JobResult] = []
        for job in jobs { results.append(await runAlone(job)) }
        return results
    }

    /// - Returns: nil if the batch must be taken apart; nothing of it has happened then, or its commit is in doubt.
    private func runBatch(_ jobs: [Job]) async -> [JobResult]? {
        var restarts = InPlaceRestarts()
        while true {
            var hasBegun = false
            let mark = PublishMark()
            let spans = TransactionSpans(jobs)
            do {
                let results = try await settings.pool.withTransaction { transaction in
                    hasBegun = true
                    var results: [JobResult] = []
                    for job in jobs { results.append(try await runPart(job, in: transaction, mark)) }
                    return results
                }
                spans.end()
                mark.relay(settings.relayOutbox)
                return results
            } catch {
                let cause = FailureCause(error)
                spans.end(failure: "rolled back: \(cause)")
                if Task.isCancelled { return jobs.map { _ in .interrupted } }
                guard cause == .databaseAway, !hasBegun else { return nil }
                _ = restarts.result(of: cause, hasBegun: false, isCancelled: false)
                try? await Task.sleep(for: restarts.pause())
            }
        }
    }

    /// Runs one message of a batch in a savepoint.
    ///
    /// - Throws: what a savepoint cannot undo.
    private func runPart(_ job: Job, in transaction: Transaction, _ mark: PublishMark) async throws -> JobResult {
        do {
            return try await transaction.savepoint { part in try await handle(job, in: part, mark) }
        } catch let undone as Undone {
            return .finished(undone.outcome)
        } catch let exceeded as TimeLimitExceeded {
            return .timedOut(exceeded.limit)
        } catch {
            switch FailureCause(error) {
            case .undecodable(let failure): return .undecodable(failure)
            case .other(let failure): return .failed(failure)
            case .databaseAway, .contention, .cancelled: throw error
            }
        }
    }

    private func runAlone(_ job: Job) async -> JobResult {
        var restarts = InPlaceRestarts()
        while true {
            if Task.isCancelled { return .interrupted }
            var hasBegun = false
            let mark = PublishMark()
            let spans = TransactionSpans([job])
            do {
                let result = try await settings.pool.withTransaction { transaction in
                    hasBegun = true
                    return try await handle(job, in: transaction, mark)
                }
                spans.end()
                mark.relay(settings.relayOutbox)
                return result
            } catch let undone as Undone {
                spans.end(failure: "rolled back by the handler")
                return .finished(undone.outcome)
            } catch let exceeded as TimeLimitExceeded {
                spans.end(failure: "rolled back at the time limit")
                return Task.isCancelled ? .interrupted : .timedOut(exceeded.limit)
            } catch {
                spans.end(failure: "rolled back: \(FailureCause(error))")
                let end = restarts.result(
                    of: FailureCause(error), hasBegun: hasBegun, isCancelled: Task.isCancelled)
                if let end { return end }
                settings.logger(for: job).info(
                    "transaction is run again", metadata: [LogKey.errorDetail: "\(error)"])
                try? await Task.sleep(for: restarts.pause())
            }
        }
    }

    /// Claims the message and has it handled.
    private func handle(_ job: Job, in transaction: Transaction, _ mark: PublishMark) async throws -> JobResult {
        let configuration = settings.configuration
        let context = HandlerContext(
            transaction: transaction, now: Date(), worker: configuration.id, logger: settings.logger(for: job),
            onPublish: { mark.set() })
        return try await withTimeLimit(configuration.handlerTimeout) {
            let isNew = try await Inbox.insert(
                consumer: configuration.role, messageID: job.envelope.id, in: transaction)
            guard isNew else { return .duplicate }
            let outcome = try await TraceContext.$current.withValue(job.span.context) {
                try await handler.handle(job.envelope, in: context)
            }
            switch outcome {
            case .done, .ignored: return .finished(outcome)
            case .retry, .deadLetter, .release: throw Undone(outcome: outcome)
            }
        }
    }
}

/// Whether a transaction has written to the outbox.
private final class PublishMark: Sendable {
    private let isSet = Atomic<Bool>(false)

    func set() { isSet.store(true, ordering: .relaxed) }

    func relay(_ wake: () -> Void) {
        if isSet.load(ordering: .relaxed) { wake() }
    }
}
