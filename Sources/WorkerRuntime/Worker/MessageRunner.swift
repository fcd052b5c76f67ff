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
/// A batch is first run as if nothing could fail: all its messages are claimed by one statement, then handled one after
/// another. If one fails, everything is undone and the batch is run again with a savepoint for each message, so that the one
/// is undone by itself; batches that follow are run that way for a while. What cannot be undone by a savepoint (a deadlock, a
/// broken connection, a failed commit) takes the batch apart: its messages are run one by one, and each answers for itself.
struct MessageRunner: JobRunner {
    let handler: any MessageHandler
    let settings: RunnerSettings

    /// How many batches are run with savepoints after one in which a message failed.
    static let cautiousBatches = 16

    private let caution = Caution()
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

    func take(from ready: inout [Job], freeLanes: Int) -> [Job] {
        guard let handler = handler as? any SetHandler else {
            return ready.takeShare(of: freeLanes, upTo: maxBatchSize)
        }
        // A set costs less than its parts side by side, so a lane takes all that it can. Of the others it takes one, so that
        // an emergency which comes later waits for none that has not begun.
        return ready.takeFirst(withAllLikeIt: { handler.joins($0.envelope.type) }, upTo: maxBatchSize)
    }

    func run(_ jobs: [Job]) async -> [JobResult] {
        batchSizes.record(jobs.count)
        if jobs.count > 1, let handler = handler as? any SetHandler { return await runSets(of: jobs, handler) }
        if jobs.count > 1 {
            // In the order of ids: lanes that hold copies of the same messages claim them in the same order, so that
            // they wait for each other instead of deadlocking.
            let order = jobs.indices.sorted { jobs[$0].envelope.id < jobs[$1].envelope.id }
            let sortedJobs = order.map { jobs[$0] }
            var answers: [JobResult]?
            if Self.canBeClaimedTogether(sortedJobs), !caution.isDue {
                answers = await runTogether(sortedJobs)
                if answers == nil { caution.begin(Self.cautiousBatches) }
            }
            if answers == nil { answers = await runBatch(sortedJobs) }
            if let results = answers {
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

    /// Whether messages can be claimed together, before the first of them is handled.
    ///
    /// Of two copies of a message, the second must wait for what becomes of the first. And a campaign's fence stands before
    /// the claim: a replayed message that has been recalled must not be claimed at all.
    private static func canBeClaimedTogether(_ jobs: [Job]) -> Bool {
        jobs.allSatisfy { $0.envelope.replay == nil }
            && zip(jobs, jobs.dropFirst()).allSatisfy { $0.envelope.id != $1.envelope.id }
    }

    /// Runs those together that can be, and then each of the others, and of sets in which anything went wrong, by itself.
    private func runSets(of jobs: [Job], _ handler: some SetHandler) async -> [JobResult] {
        var results: [JobResult?] = jobs.map { _ in nil }
        let parts = MessageSets(jobs, handler)
        for place in parts.alone { results[place] = await runAlone(jobs[place]) }
        for members in parts.sets {
            // In the order of ids, as batches are claimed.
            let members = members.sorted { jobs[$0.place].envelope.id < jobs[$1.place].envelope.id }
            let answers = await runTogether(members.map { jobs[$0.place] }) { new, transaction, mark in
                let fresh = members.filter { new.contains(jobs[$0.place].envelope.id) }
                let outcomes = try await handler.handle(
                    fresh.map { member in
                        SetMember(
                            item: member.item, envelope: jobs[member.place].envelope,
                            context: context(of: jobs[member.place], in: transaction, mark))
                    })
                guard let outcomes, outcomes.allSatisfy(\.isCommitted) else { throw SetRefused() }
                var left = outcomes[...]
                return members.map { member in
                    new.contains(jobs[member.place].envelope.id)
                        ? left.popFirst().map(JobResult.finished) ?? .interrupted : .duplicate
                }
            }
            if let answers {
                for (member, answer) in zip(members, answers) { results[member.place] = answer }
            } else {
                fallbacks.increment()
                for member in members { results[member.place] = await runAlone(jobs[member.place]) }
            }
        }
        return results.map { $0 ?? .interrupted }
    }

    /// A set that the handler does not want to handle as one.
    private struct SetRefused: Error {}

    /// Runs a batch without savepoints, one message after the other; they are ordered by id and can be claimed together.
    private func runTogether(_ jobs: [Job]) async -> [JobResult]? {
        await runTogether(jobs) { new, transaction, mark in
            var results: [JobResult] = []
            for job in jobs {
                let isNew = new.contains(job.envelope.id)
                results.append(isNew ? try await effect(of: job, in: transaction, mark) : .duplicate)
            }
            return results
        }
    }

    /// Claims messages with one statement and has them handled, all or none.
    ///
    /// - Parameter work: gets the ids of those that were not handled before.
    /// - Returns: nil if anything at all went wrong; nothing of it has happened then, or its commit is in doubt, which the
    ///   claims of the next run find out.
    private func runTogether(
        _ jobs: [Job], _ work: @escaping @Sendable (Set<String>, Transaction, PublishMark) async throws -> [JobResult]
    ) async -> [JobResult]? {
        let configuration = settings.configuration
        let mark = PublishMark()
        let spans = TransactionSpans(jobs)
        do {
            let results = try await settings.pool.withTransaction { transaction in
                try await withTimeLimit(configuration.handlerTimeout) {
                    let new = try await Inbox.insert(
                        consumer: configuration.role, messageIDs: jobs.map(\.envelope.id), in: transaction)
                    return try await work(new, transaction, mark)
                }
            }
            spans.end()
            mark.relay(settings.relayOutbox)
            return results
        } catch is Undone {
            spans.end(failure: "rolled back by a handler")
        } catch {
            spans.end(failure: "rolled back: \(FailureCause(error))")
        }
        return nil
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
            case .unstorable(let failure):
                return .finished(.deadLetter(code: failure.code, detail: failure.detail))
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
        try await withTimeLimit(settings.configuration.handlerTimeout) {
            if let stamp = job.envelope.replay {
                switch try await ReplayFence.check(stamp, in: transaction) {
                case .pass: break
                case .recalled: return .recalled
                case .undecided: throw Undone(outcome: .recallUnderWay)
                }
            }
            let isNew = try await Inbox.insert(
                consumer: settings.configuration.role, messageID: job.envelope.id, in: transaction)
            return isNew ? try await effect(of: job, in: transaction, mark) : .duplicate
        }
    }

    /// Has a claimed message handled.
    ///
    /// - Throws: `Undone`, or what the handler throws.
    private func effect(of job: Job, in transaction: Transaction, _ mark: PublishMark) async throws -> JobResult {
        let context = context(of: job, in: transaction, mark)
        let outcome = try await TraceContext.$current.withValue(job.span.context) {
            try await handler.handle(job.envelope, in: context)
        }
        guard outcome.isCommitted else { throw Undone(outcome: outcome) }
        return .finished(outcome)
    }

    private func context(of job: Job, in transaction: Transaction, _ mark: PublishMark) -> HandlerContext {
        HandlerContext(
            transaction: transaction, now: Date(), worker: settings.configuration.id,
            logger: settings.logger(for: job), trace: job.span.context, onPublish: { mark.set() })
    }
}

/// Counts the batches that are run with savepoints, because a message failed not long ago.
private final class Caution: Sendable {
    private let batches = Atomic<Int>(0)

    /// Whether the next batch is one of them; counts it.
    var isDue: Bool {
        guard batches.load(ordering: .relaxed) > 0 else { return false }
        batches.subtract(1, ordering: .relaxed)
        return true
    }

    func begin(_ count: Int) { batches.store(count, ordering: .relaxed) }
}

/// Whether a transaction has written to the outbox.
private final class PublishMark: Sendable {
    private let isSet = Atomic<Bool>(false)

    func set() { isSet.store(true, ordering: .relaxed) }

    func relay(_ wake: () -> Void) {
        if isSet.load(ordering: .relaxed) { wake() }
    }
}
