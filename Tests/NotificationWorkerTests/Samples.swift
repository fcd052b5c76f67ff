import Domain
import Foundation
import Messaging
import NotificationWorker
import Persistence
import Transport

/// Events as other workers publish them.
enum Sample {
    static let consultation = ConsultationID(digest: [UInt8](repeating: 7, count: 16))
    static let job = JobID(digest: [UInt8](repeating: 9, count: 16))
    static let now = Date(timeIntervalSince1970: 1_803_000_000)
    static let customer = Person(name: "Ann Example", email: "ann@example.com", phone: "+1 614 555 0100")
    static let estimator = Assignee(id: .make(), name: "Eve Estimator", email: "eve@neff.example")
    static let crewOne = Assignee(id: .make(), name: "Crew One", email: "one@neff.example")
    static let crewTwo = Assignee(id: .make(), name: "Crew Two", email: "two@neff.example")

    static func visit(_ start: String = "2027-03-16T13:00:00Z", hours: Double = 1) throws -> Visit {
        let start = try Date(start, strategy: .iso8601)
        return Visit(
            startsAt: start, endsAt: start.addingTimeInterval(hours * 3_600), timeZone: "America/New_York")
    }

    static func consultationEvent(
        sequence: Int = 1, _ change: (inout ConsultationEvent) -> Void = { _ in }
    ) throws -> ConsultationEvent {
        var event = ConsultationEvent(
            consultation: consultation, sequence: sequence, kind: .residential, customer: customer, visit: try visit(),
            address: "12 Sample Road, Zanesville OH", cancelURL: "https://calendly.com/cancellations/abc",
            rescheduleURL: "https://calendly.com/reschedulings/abc")
        change(&event)
        return event
    }

    static func assignment(
        sequence: Int = 1, _ change: (inout ConsultationAssignmentEvent) -> Void = { _ in }
    ) throws -> ConsultationAssignmentEvent {
        var event = ConsultationAssignmentEvent(
            consultation: consultation, sequence: sequence, kind: .emergency, customer: customer, visit: try visit(),
            address: "12 Sample Road, Zanesville OH", assignee: estimator)
        change(&event)
        return event
    }

    static func jobEvent(sequence: Int = 1, _ change: (inout JobEvent) -> Void = { _ in }) throws -> JobEvent {
        var event = JobEvent(
            job: job, number: "J-2027-00042", sequence: sequence, service: "sealcoating", priority: .standard,
            customer: customer, address: "12 Sample Road, Zanesville OH", visit: try visit(hours: 4), crew: crewOne)
        change(&event)
        return event
    }

    static func envelope(_ type: MessageType, _ body: some Encodable, id: String = UUID().uuidString) throws -> Envelope
    {
        Envelope(
            id: id, type: type, timestamp: now, receivedAt: now.addingTimeInterval(-1),
            body: try WireJSON.encode(body))
    }

    /// A notice with everything it may say, or with as little as possible.
    static func notice(
        _ template: String, isFull: Bool = true, _ change: (inout PlannedNotification) -> Void = { _ in }
    ) throws -> PlannedNotification {
        var facts = NoticeFacts(
            what: "residential consultation", customerName: "", visit: try visit(), invitation: .none)
        if isFull {
            let previous = try visit("2027-03-12T15:00:00Z")
            facts = NoticeFacts(
                what: "residential consultation", customerName: "Ann Example", customerPhone: "+1 614 555 0100",
                visit: try visit(), previousVisit: previous, address: "12 Sample Road", assignee: "Crew One",
                reason: "It rains", reasons: ["Eve is away", "Max is taken"],
                alternatives: [
                    Alternative(
                        startsAt: previous.startsAt, endsAt: previous.endsAt, resource: estimator.id,
                        resourceName: "Max")
                ],
                companions: 2, cancelLink: "https://calendly.com/cancellations/abc",
                rescheduleLink: "https://calendly.com/reschedulings/abc", invitation: .request)
        }
        var notice = PlannedNotification(
            occasion: "occasion", recipient: "ann@example.com", recipientName: isFull ? "Ann Example" : "",
            template: template, subjectKind: .consultation, subjectID: consultation.rawValue, sequence: 3, facts: facts)
        change(&notice)
        return notice
    }

    static func composer(from: String = "Neff Paving") throws -> MailComposer {
        MailComposer(
            templates: try MailTemplates(officePhone: "+1 740 555 0199"),
            from: try Mailbox(name: from, address: "scheduling@neff.example"),
            replyTo: try Mailbox(address: "office@neff.example"))
    }

    static func mail(_ notice: PlannedNotification, isRepeat: Bool = false) throws -> Mail {
        let claim = NotificationRepository.Claim(
            id: NotificationID(digest: [UInt8](repeating: 1, count: 16)), planned: notice,
            mailID: "ntf_1@neff.example", isRepeat: isRepeat)
        return try composer().mail(for: claim, at: now)
    }
}
