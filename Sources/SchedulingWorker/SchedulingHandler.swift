package import Domain
package import Messaging
import Postgres
package import WorkerRuntime

/// The scheduling worker: gives consultations an estimator, and jobs a crew and machines.
///
/// Everything it does is rows and outbox messages in the transaction of the message. What is free is decided by the
/// exclusion constraint on allocations; a request that cannot be met ends in a clear state, never in a retry.
///
/// Consultations that have nothing to do with each other are handled as a set: one look at who is free, one lock of all that
/// are chosen. Jobs are handled one by one; each chooses among few crews and holds them locked.
package struct SchedulingHandler: SetHandler {
    private let companyClock: SiteClock

    /// - Parameter companyClock: used for a visit whose zone is not a zone.
    package init(companyClock: SiteClock) {
        self.companyClock = companyClock
    }

    package func handle(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome {
        let work = Work(envelope: envelope, context: context)
        switch envelope.type {
        case .consultationBooked, .consultationRescheduled, .consultationCanceled:
            let request = ConsultationAssigner.Request(try work.body(), work)
            // A set of one is never refused.
            return try await assign([request], in: context.transaction)?.first ?? .release(reason: "not alone")
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

    package func joins(_ type: MessageType) -> Bool {
        [.consultationBooked, .consultationRescheduled, .consultationCanceled].contains(type)
    }

    package func item(of envelope: Envelope) -> ConsultationEvent? {
        try? WireJSON.decode(ConsultationEvent.self, from: envelope.body)
    }

    package func subjects(of event: ConsultationEvent) -> Set<String> {
        [event.consultation.rawValue, event.target]
    }

    package func handle(_ members: [SetMember<ConsultationEvent>]) async throws -> [Outcome]? {
        guard let transaction = members.first?.context.transaction else { return [] }
        return try await assign(
            members.map {
                ConsultationAssigner.Request($0.item, Work(envelope: $0.envelope, context: $0.context))
            }, in: transaction)
    }

    private func assign(
        _ requests: [ConsultationAssigner.Request], in transaction: Transaction
    ) async throws -> [Outcome]? {
        try await ConsultationAssigner(transaction: transaction, companyClock: companyClock).run(requests)
    }
}
