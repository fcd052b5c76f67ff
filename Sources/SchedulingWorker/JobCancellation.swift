import Domain
import Foundation
import Messaging
import Persistence
import WorkerRuntime

/// `job.cancel`: gives up the crew and the machines.
struct JobCancellation: Sendable {
    let work: Work

    func run(_ command: CancelJob) async throws -> Outcome {
        guard let before = try await JobRows.lock(command.job, in: work.transaction) else {
            return try await work.refuse(command.context, .notFound("job"))
        }
        let old = before.view
        let state: JobState
        do {
            try before.check(version: command.expectedVersion)
            state = try old.state.after(.cancel)
        } catch let problem {
            return try await work.refuse(command.context, problem, job: command.job)
        }
        try await Allocations.release(.job(command.job), in: work.transaction)
        try await JobRows.update(
            command.job,
            schedule: JobSchedule(
                state: state, work: Interval(start: old.startsAt, end: old.endsAt), crew: old.crew?.id,
                cancelReason: command.reason),
            at: work.now, in: work.transaction)
        let after = try await work.job(command.job)
        try await work.record(.canceled, from: old, to: after.view, asked: command.context, reason: command.reason)
        var event = JobEvent(after)
        event.reason = command.reason
        try await work.publish(.jobCanceled, about: command.job.rawValue, body: event)
        return try await work.finish(command.context, httpStatus: 200, after.view)
    }
}
