package import Domain
package import Messaging
package import WorkerRuntime

/// The scheduling worker: gives consultations an estimator, and jobs a crew and machines.
///
/// Everything it does is rows and outbox messages in the transaction of the message. What is free is decided by the
/// exclusion constraint on allocations; a request that cannot be met ends in a clear state, never in a retry.
package struct SchedulingHandler: MessageHandler {
    private let companyClock: SiteClock

    /// - Parameter companyClock: used for a visit whose zone is not a zone.
    package init(companyClock: SiteClock) {
        self.companyClock = companyClock
    }

    package func handle(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome {
        let work = Work(envelope: envelope, context: context)
        switch envelope.type {
        case .consultationBooked, .consultationRescheduled:
            return try await ConsultationAssigner(work: work, companyClock: companyClock).assign(work.body())
        case .consultationCanceled:
            return try await ConsultationAssigner(work: work, companyClock: companyClock).release(work.body())
        case .consultationNoShowMarked, .consultationNoShowCleared:
            // The estimator was there, or will be: the time stays taken either way.
            return .ignored(reason: "a no-show keeps its estimator")
        case .createJob:
            return try await JobCreation(work: work).run(work.body())
        case .rescheduleJob:
            return try await JobRescheduling(work: work).run(work.body())
        case .cancelJob:
            return try await JobCancellation(work: work).run(work.body())
        default:
            return .deadLetter(code: "unknown_type", detail: "the scheduling worker does not handle \(envelope.type)")
        }
    }
}
