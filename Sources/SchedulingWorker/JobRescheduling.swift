import Domain
import Foundation
import Messaging
import Persistence
import Scheduling
import WorkerRuntime

/// `job.reschedule`: another time, length or crew; the old time is given up only if the new one is had.
struct JobRescheduling: Sendable {
    let work: Work

    func run(_ command: RescheduleJob) async throws -> Outcome {
        guard let before = try await JobRows.lock(command.job, in: work.transaction) else {
            return try await work.refuse(command.context, .notFound("job"))
        }
        let old = before.view
        let minutes =
            command.durationMinutes ?? Int((old.endsAt.timeIntervalSince(old.startsAt) / 60).rounded())
        let slot: SlotFinder.Slot
        let state: JobState
        do {
            try before.check(version: command.expectedVersion)
            state = try old.state.after(.reschedule)
            if isAsItIs(command, before, minutes: minutes) {
                return try await work.finish(command.context, httpStatus: 200, old)
            }
            let plan = try await JobPlan.make(
                JobPlan.Wish(
                    service: old.service, priority: old.priority, timeZone: old.timeZone, durationMinutes: minutes,
                    crew: command.crew, takesWithdrawnService: true),
                now: work.now, in: work.transaction)
            // The crew and the machines that know the job keep it if they can.
            let held = try await Allocations.held(by: .job(command.job), in: work.transaction)
            var preferences = Dictionary(uniqueKeysWithValues: held.map { ($0, 0) })
            if let crew = old.crew { preferences[crew.id] = 0 }
            slot = try await JobBooking(
                plan: plan, job: command.job, crew: command.crew, preferences: preferences, in: work.transaction
            ).book(at: command.startsAt)
        } catch let problem as Problem {
            return try await work.refuse(command.context, problem, job: command.job)
        }
        try await JobRows.update(
            command.job, schedule: JobSchedule(state: state, work: slot.work, crew: slot.lead.id), at: work.now,
            in: work.transaction)
        let after = try await work.job(command.job)
        try await work.record(.rescheduled, from: old, to: after.view, asked: command.context, reason: command.reason)
        var event = JobEvent(after)
        event.previousVisit = Visit(startsAt: old.startsAt, endsAt: old.endsAt, timeZone: old.timeZone)
        event.previousCrew = before.crew?.id == after.crew?.id ? nil : before.crew
        event.reason = command.reason
        try await work.publish(.jobRescheduled, about: command.job.rawValue, body: event)
        return try await work.finish(command.context, httpStatus: 200, after.view)
    }

    /// Whether the job is already what the command asks for, so that nobody needs to be told anything.
    private func isAsItIs(_ command: RescheduleJob, _ job: JobRecord, minutes: Int) -> Bool {
        job.view.state == .scheduled && job.view.startsAt == command.startsAt
            && job.view.endsAt == command.startsAt + Double(minutes) * 60
            && (command.crew == nil || command.crew == job.crew?.id)
    }
}

extension JobRecord {
    /// - Throws: `Problem.versionMismatch` if another version was expected; nil expects none.
    func check(version expected: Int?) throws(Problem) {
        guard let expected, expected != view.version else { return }
        throw .versionMismatch(expected: expected, actual: view.version)
    }
}
