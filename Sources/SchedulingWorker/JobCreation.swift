import Domain
import Foundation
import Messaging
import Persistence
import Scheduling
import WorkerRuntime

/// `job.create`: a job with its number, its crew and its machines, or a problem that says what would work.
struct JobCreation: Sendable {
    let work: Work

    func run(_ command: CreateJob) async throws -> Outcome {
        let request = command.request
        // The same command always makes the same job, whatever happened to the first try.
        let id = JobID(digest: MessageID.digest([work.envelope.id, "job"]))
        let plan: JobPlan
        let slot: SlotFinder.Slot
        do {
            plan = try await JobPlan.make(
                JobPlan.Wish(
                    service: request.service, priority: request.priority, timeZone: request.site.timeZone,
                    durationMinutes: request.durationMinutes, crew: request.crew),
                now: work.now, in: work.transaction)
            slot = try await JobBooking(plan: plan, job: id, crew: request.crew, in: work.transaction)
                .book(at: request.startsAt)
        } catch let problem as Problem {
            return try await work.refuse(command.context, problem)
        }
        let year = plan.calendar.clock.day(of: work.now).year
        try await JobRows.insert(
            id, number: try await JobRows.nextNumber(year: year, in: work.transaction), request: request,
            schedule: JobSchedule(state: .scheduled, work: slot.work, crew: slot.lead.id), at: work.now,
            in: work.transaction)
        let job = try await work.job(id)
        try await work.record(.created, from: nil, to: job.view, asked: command.context)
        try await work.publish(.jobScheduled, about: id.rawValue, body: JobEvent(job))
        return try await work.finish(command.context, httpStatus: 201, job.view)
    }
}

extension Work {
    /// Writes a change of a job that a command asked for.
    func record(
        _ change: ChangeType, from before: JobView?, to after: JobView, asked command: CommandContext,
        reason: String? = nil
    ) async throws {
        try await ChangeLog.append(
            ChangeLogEntry(
                at: now, subject: .job(after.id), change: change,
                before: try before.map { try ChangeLogEntry.json($0) },
                after: try ChangeLogEntry.json(after), actor: command.actor, source: command.source, reason: reason,
                requestID: command.requestID, correlationID: envelope.correlationID),
            in: transaction)
    }

    /// A job that must be there, as the transaction sees it now.
    func job(_ id: JobID) async throws -> JobRecord {
        guard let job = try await JobRows.find(id, in: transaction) else { throw Problem.notFound("job") }
        return job
    }
}

extension JobEvent {
    /// The event that tells of a job as it is.
    init(_ job: JobRecord) {
        let view = job.view
        self.init(
            job: view.id, number: view.number, sequence: job.sequence, service: view.service, priority: view.priority,
            customer: view.customer, address: view.site.address,
            visit: Visit(startsAt: view.startsAt, endsAt: view.endsAt, timeZone: view.timeZone), crew: job.crew)
    }
}
