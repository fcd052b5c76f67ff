package import Domain

/// Something that one person is to be told, once.
package struct PlannedNotification: Codable, Hashable, Sendable {
    /// What happened, once: event type, subject and sequence. Together with the recipient it can exist only once.
    package var occasion: String
    /// The e-mail address.
    package var recipient: String
    package var recipientName: String
    package var template: String
    package var subjectKind: SubjectKind
    package var subjectID: String
    package var sequence: Int
    package var facts: NoticeFacts

    private enum CodingKeys: String, CodingKey {
        case occasion, recipient, recipientName, template, subjectKind, sequence, facts
        // Spelled as the snake_case key strategy reads `subject_id` back.
        case subjectID = "subjectId"
    }

    package enum SubjectKind: String, Codable, Sendable {
        case consultation, job
    }

    package init(
        occasion: String, recipient: String, recipientName: String, template: String, subjectKind: SubjectKind,
        subjectID: String, sequence: Int, facts: NoticeFacts
    ) {
        self.occasion = occasion
        self.recipient = recipient
        self.recipientName = recipientName
        self.template = template
        self.subjectKind = subjectKind
        self.subjectID = subjectID
        self.sequence = sequence
        self.facts = facts
    }
}

/// What a notice may say, as of the moment it was planned.
package struct NoticeFacts: Codable, Hashable, Sendable {
    /// What is visited, such as `residential consultation` or `job J-2027-00042`.
    package var what: String
    package var customerName: String
    package var customerPhone: String?
    package var visit: Visit
    package var previousVisit: Visit?
    package var address: String?
    /// Who comes.
    package var assignee: String?
    package var reason: String?
    /// How many other customers share the visit. Nil where that is not said.
    package var companions: Int?
    package var reasons: [String]
    package var alternatives: [Alternative]
    package var cancelLink: String?
    package var rescheduleLink: String?
    package var invitation: Invitation

    /// What the notice does to the recipient's calendar.
    package enum Invitation: String, Codable, Sendable {
        case request, cancel, none
    }

    package init(
        what: String, customerName: String, customerPhone: String? = nil, visit: Visit, previousVisit: Visit? = nil,
        address: String? = nil, assignee: String? = nil, reason: String? = nil, reasons: [String] = [],
        alternatives: [Alternative] = [], companions: Int? = nil, cancelLink: String? = nil,
        rescheduleLink: String? = nil, invitation: Invitation
    ) {
        self.what = what
        self.customerName = customerName
        self.customerPhone = customerPhone
        self.visit = visit
        self.previousVisit = previousVisit
        self.address = address
        self.assignee = assignee
        self.reason = reason
        self.companions = companions
        self.reasons = reasons
        self.alternatives = alternatives
        self.cancelLink = cancelLink
        self.rescheduleLink = rescheduleLink
        self.invitation = invitation
    }
}
