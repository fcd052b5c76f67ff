import Domain
import Foundation
package import Messaging
package import Persistence

/// Decides who is told what of an event. A pure function: the same event always plans the same notices.
package struct NoticePlanner: Sendable {
    /// Where the office reads what no customer should; nil tells nobody.
    private let officeEmail: String?

    package init(officeEmail: String? = nil) {
        self.officeEmail = officeEmail
    }

    /// The notices of an event.
    ///
    /// Of a consultation that was over when the event was written, nobody is told but that it is off: nobody can come to it.
    /// People without an e-mail address are not told; there is no other channel yet. Who is a customer and on the crew at
    /// once, or has one address for two crews, gets the first notice only.
    /// - Returns: none for an event of which nobody is told.
    /// - Throws: `DecodingError` for a body that is not what its type says.
    package func notices(of envelope: Envelope) throws -> [PlannedNotification] {
        let notices: [PlannedNotification] =
            switch envelope.type {
            case .consultationBooked, .consultationRescheduled, .consultationCanceled:
                consultationNotices(
                    envelope.type, try WireJSON.decode(ConsultationEvent.self, from: envelope.body),
                    at: envelope.timestamp)
            case .consultationAssigned, .consultationReleased, .consultationUnassigned:
                assignmentNotices(
                    envelope.type, try WireJSON.decode(ConsultationAssignmentEvent.self, from: envelope.body),
                    at: envelope.timestamp)
            case .jobScheduled, .jobRescheduled, .jobCanceled:
                jobNotices(envelope.type, try WireJSON.decode(JobEvent.self, from: envelope.body))
            default: []
            }
        var addresses: Set<String> = []
        return notices.filter { addresses.insert($0.recipient.lowercased()).inserted }
    }

    // MARK: Consultations

    private func consultationNotices(
        _ type: MessageType, _ event: ConsultationEvent, at time: Date
    ) -> [PlannedNotification] {
        if type != .consultationCanceled, event.visit.endsAt <= time { return [] }
        let template =
            switch type {
            case .consultationBooked: "consultation_booked"
            case .consultationRescheduled: "consultation_moved"
            // The visit stands, only this entry of it goes.
            default: event.mergedInto == nil ? "consultation_canceled" : "consultation_merged"
            }
        let isCanceled = type == .consultationCanceled
        let facts = NoticeFacts(
            what: Self.name(of: event.kind), customerName: event.customer.name, customerPhone: event.customer.phone,
            // What is off is the visit that they know of, which may have moved unheard before it was canceled.
            visit: isCanceled ? event.previousVisit ?? event.visit : event.visit,
            previousVisit: isCanceled ? nil : event.previousVisit, address: event.address, reason: event.reason,
            cancelLink: event.cancelURL, rescheduleLink: event.rescheduleURL,
            invitation: isCanceled ? .cancel : .request)
        return notice(
            type, to: event.customer.email, named: event.customer.name, template, .consultation,
            event.consultation.rawValue, event.sequence, facts)
    }

    private func assignmentNotices(
        _ type: MessageType, _ event: ConsultationAssignmentEvent, at time: Date
    ) -> [PlannedNotification] {
        if type != .consultationReleased, event.visit.endsAt <= time { return [] }
        let sequence = event.revision ?? event.sequence
        let facts = NoticeFacts(
            what: Self.name(of: event.kind), customerName: event.customer.name, customerPhone: event.customer.phone,
            visit: event.visit, previousVisit: event.previousVisit, address: event.address,
            assignee: event.assignee?.name, reasons: event.reasons,
            alternatives: event.alternatives, companions: event.companions,
            invitation: type == .consultationAssigned ? .request : type == .consultationReleased ? .cancel : .none)
        if type == .consultationUnassigned {
            return notice(
                type, to: officeEmail, named: "Office", "visit_unassigned", .consultation, event.consultation.rawValue,
                sequence, facts)
        }
        // Messages of earlier versions say that it is an update, but not from when.
        let isMoved = event.previousVisit != nil || event.isUpdate && event.revision == nil
        let template = type == .consultationReleased ? "visit_released" : isMoved ? "visit_moved" : "visit_assigned"
        return notice(
            type, to: event.assignee?.email, named: event.assignee?.name ?? "", template, .consultation,
            event.consultation.rawValue, sequence, facts)
    }

    private static func name(of kind: ConsultationKind) -> String {
        switch kind {
        case .residential: "residential consultation"
        case .commercial: "commercial consultation"
        case .maintenance: "maintenance consultation"
        case .emergency: "emergency service call"
        case .triage: "consultation"
        }
    }

    // MARK: Jobs

    private func jobNotices(_ type: MessageType, _ event: JobEvent) -> [PlannedNotification] {
        func facts(_ invitation: NoticeFacts.Invitation) -> NoticeFacts {
            NoticeFacts(
                what: "job \(event.number)", customerName: event.customer.name, customerPhone: event.customer.phone,
                visit: event.visit, previousVisit: event.previousVisit, address: event.address,
                assignee: event.crew?.name, reason: event.reason, invitation: invitation)
        }
        func notice(_ to: String?, _ name: String, _ template: String, _ facts: NoticeFacts) -> [PlannedNotification] {
            self.notice(type, to: to, named: name, template, .job, event.job.rawValue, event.sequence, facts)
        }
        let isCanceled = type == .jobCanceled
        let isMoved = type == .jobRescheduled
        let crewIsNew = !isMoved || event.previousCrew != nil
        var notices = notice(
            event.customer.email, event.customer.name,
            isCanceled ? "job_canceled" : isMoved ? "job_moved" : "job_scheduled",
            facts(isCanceled ? .cancel : .request))
        if let crew = event.crew {
            notices += notice(
                crew.email, crew.name, isCanceled ? "visit_released" : crewIsNew ? "visit_assigned" : "visit_moved",
                facts(isCanceled ? .cancel : .request))
        }
        if let previous = event.previousCrew, previous.id != event.crew?.id {
            notices += notice(previous.email, previous.name, "visit_released", facts(.cancel))
        }
        return notices
    }

    private func notice(
        _ type: MessageType, to recipient: String?, named name: String, _ template: String,
        _ kind: PlannedNotification.SubjectKind, _ subject: String, _ sequence: Int, _ facts: NoticeFacts
    ) -> [PlannedNotification] {
        guard let recipient = recipient?.trimmingCharacters(in: .whitespacesAndNewlines), !recipient.isEmpty else {
            return []
        }
        return [
            PlannedNotification(
                occasion: "\(type)/\(subject)/\(sequence)", recipient: recipient, recipientName: name,
                template: template, subjectKind: kind, subjectID: subject, sequence: sequence, facts: facts)
        ]
    }
}
