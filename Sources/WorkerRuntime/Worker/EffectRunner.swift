import Foundation
import Logging
import Messaging
import Persistence
import Postgres
import Traces

/// Runs effect handlers, one message at a time; transactions and inbox are the handler's own affair.
struct EffectRunner: JobRunner {
    let handler: any EffectHandler
    let settings: RunnerSettings

    var maxBatchSize: Int { 1 }

    func run(_ jobs: [Job]) async -> [JobResult] {
        var results: [JobResult] = []
        for job in jobs { results.append(await run(job)) }
        return results
    }

    private func run(_ job: Job) async -> JobResult {
        let configuration = settings.configuration
        let context = EffectContext(
            pool: settings.pool, now: { Date() }, role: configuration.role, worker: configuration.id,
            logger: settings.logger(for: job), isShuttingDown: settings.isShuttingDown,
            relayOutbox: settings.relayOutbox)
        let holder = "\(configuration.id)/\(UUID().uuidString)"
        var restarts = InPlaceRestarts()
        while true {
            if Task.isCancelled { return .interrupted }
            do {
                switch try await begin(job, holder) {
                case .pass: break
                case .recalled: return .recalled
                case .undecided: return .finished(.recallUnderWay)
                }
                let outcome = try await withTimeLimit(configuration.handlerTimeout) {
                    try await TraceContext.$current.withValue(job.span.context) {
                        try await handler.handle(job.envelope, in: context)
                    }
                }
                if outcome.isWithoutEffect { await withdraw(job, holder) }
                return .finished(outcome)
            } catch let exceeded as TimeLimitExceeded {
                return Task.isCancelled ? .interrupted : .timedOut(exceeded.limit)
            } catch {
                // The pool's own failures tell that no statement of the handler was the cause.
                let code = (error as? PostgresError)?.code
                let hasBegun = code != .poolTimeout && code != .connectionFailed
                let end = restarts.result(
                    of: FailureCause(error), hasBegun: hasBegun, isCancelled: Task.isCancelled)
                if let end { return end }
                settings.logger(for: job).info("effect is run again", metadata: [LogKey.errorDetail: "\(error)"])
                try? await Task.sleep(for: restarts.pause())
            }
        }
    }

    /// Notes that the effect of a replayed message begins, unless the message has been recalled.
    private func begin(_ job: Job, _ holder: String) async throws -> ReplayFence.Verdict {
        guard let stamp = job.envelope.replay else { return .pass }
        return try await ReplayFence.begin(stamp, messageID: job.envelope.id, holder: holder, on: settings.pool)
    }

    private func withdraw(_ job: Job, _ holder: String) async {
        guard let stamp = job.envelope.replay else { return }
        // A note that stays only keeps the message from being recalled.
        try? await ReplayFence.withdraw(stamp, messageID: job.envelope.id, holder: holder, on: settings.pool)
    }
}
