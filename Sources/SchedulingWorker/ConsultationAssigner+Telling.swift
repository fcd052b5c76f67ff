import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import WorkerRuntime

/// Writing assignments, and telling those whom they concern.
extension ConsultationAssigner {
    /// Settles the consultation that the event is about.
    func settle(
        _ request: Request, in appointment: Appointment?, _ locked: LockedAppointments, _ new: ConsultationAssignment
    ) async throws -> Outcome {
        let event = request.event
        // Of an event that has been moved meanwhile, the estimator is told the time that holds; the customer's own news of
        // it is on its way.
        var visit = event.visit
        if let work = appointment?.work { (visit.startsAt, visit.endsAt) = (work.start, work.end) }
        let notice = ConsultationAssignmentEvent(
            consultation: event.consultation, sequence: event.sequence, kind: event.kind, customer: event.customer,
            visit: visit, address: event.address, answers: event.answers)
        try await settle(
            notice, farewellVisit: event.previousVisit ?? event.visit, from: locked.own, to: new, in: appointment,
            locked, request.work)
        return .done
    }

    /// Settles a consultation whose appointment has changed hands because of another one.
    func settle(
        _ companion: AppointmentMember, like model: ConsultationAssignment, in appointment: Appointment,
        _ locked: LockedAppointments, _ work: Work
    ) async throws {
        guard let time = appointment.work else { return }
        var new = model
        new.sequence = companion.assignment.sequence
        let visit = Visit(startsAt: time.start, endsAt: time.end, timeZone: companion.timeZone)
        let notice = ConsultationAssignmentEvent(
            consultation: companion.consultation, sequence: new.sequence, kind: companion.kind,
            customer: companion.customer, visit: visit, address: companion.address, answers: companion.answers)
        try await settle(notice, farewellVisit: visit, from: companion, to: new, in: appointment, locked, work)
    }

    /// Writes the assignment and tells those whom it concerns: who goes, who no longer goes, or that nobody can.
    ///
    /// - Parameter farewellVisit: what stands in the calendar of whoever had it.
    func settle(
        _ notice: ConsultationAssignmentEvent, farewellVisit: Visit, from member: AppointmentMember,
        to new: ConsultationAssignment, in appointment: Appointment?, _ locked: LockedAppointments, _ work: Work
    ) async throws {
        let old = member.assignment
        var new = new
        new.revision = max(old.revision + 1, new.sequence)
        var notice = notice
        notice.revision = new.revision
        try await ConsultationAssignments.update(
            member.consultation, to: new, appointment: appointment?.id, at: work.now, in: transaction)
        if old.state != new.state || old.assignee?.id != new.assignee?.id {
            try await ChangeLog.append(
                ChangeLogEntry(
                    at: work.now, subject: .consultation(member.consultation), change: .crewChanged,
                    before: try ChangeLogEntry.json(AssignmentRecord(old)),
                    after: try ChangeLogEntry.json(AssignmentRecord(new)), actor: "scheduling", source: .scheduler,
                    reason: new.reasons.isEmpty ? nil : new.reasons.joined(separator: " "),
                    requestID: work.envelope.id, correlationID: work.envelope.correlationID),
                in: transaction)
        }
        func publish(_ type: MessageType, _ body: ConsultationAssignmentEvent) async throws {
            try await work.publish(type, about: member.consultation.rawValue, body: body)
        }
        if let before = old.assignee, before.id != new.assignee?.id {
            var farewell = notice
            farewell.assignee = before
            farewell.visit = farewellVisit
            // Those who still come to the visit that this one leaves, as long as it stays with the same person.
            farewell.companions = member.appointment.map { held in
                locked.companions(at: held).count { held != appointment?.id && $0.assignment.assignee?.id == before.id }
            }
            try await publish(.consultationReleased, farewell)
        }
        // The same for all of them: from a companion's side the own one has come in for itself.
        notice.companions = appointment.map { locked.companions(at: $0.id).count }
        switch new.state {
        case .assigned:
            notice.assignee = new.assignee
            notice.isUpdate = old.assignee?.id == new.assignee?.id
            notice.previousVisit = notice.isUpdate && farewellVisit != notice.visit ? farewellVisit : nil
            try await publish(.consultationAssigned, notice)
        case .unassigned:
            notice.reasons = new.reasons
            notice.alternatives = new.alternatives
            try await publish(.consultationUnassigned, notice)
        case .pending, .released:
            break
        }
    }
}

/// An assignment as the change log keeps it.
private struct AssignmentRecord: Encodable {
    var assignment: AssignmentState
    var assignee: ResourceName?
    var sequence: Int

    init(_ assignment: ConsultationAssignment) {
        self.assignment = assignment.state
        assignee = assignment.assignee.map { ResourceName(id: $0.id, name: $0.name) }
        sequence = assignment.sequence
    }
}
