import Foundation
import Logging
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
        var restarts = InPlaceRestarts()
        while true {
            if Task.isCancelled { return .interrupted }
            do {
                let outcome = try await withTimeLimit(configuration.handlerTimeout) {
                    try await TraceContext.$current.withValue(job.span.context) {
                        try await handler.handle(job.envelope, in: context)
                    }
                }
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
}
