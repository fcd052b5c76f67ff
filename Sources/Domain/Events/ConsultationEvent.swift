package import Foundation

/// The body of `consultation.booked`, `.rescheduled`, `.canceled`, `.no_show_marked` and `.no_show_cleared`.
///
/// It carries everything that its readers need, as of the moment it was written, so none of them reads the
/// consultation back and finds it changed again.
package struct ConsultationEvent: Codable, Hashable, Sendable {
    package var consultation: ConsultationID
    /// Goes up by one with each change that people are told of; the SEQUENCE of calendar attachments.
    package var sequence: Int
    package var kind: ConsultationKind
    package var customer: Person
    package var visit: Visit
    /// The visit that people were told of before: always with `consultation.rescheduled`, and with a cancellation if they
    /// have not heard of the move to `visit`.
    package var previousVisit: Visit?
    package var address: String?
    /// Answers by normalised key, such as `project_type`, and unmapped ones by their question's text.
    package var answers: [String: String]
    /// Who hosts the event at Calendly, if it said.
    package var hosts: [Host]
    package var cancelURL: String?
    package var rescheduleURL: String?
    package var canceledBy: String?
    package var reason: String?
    /// With `consultation.canceled`: the consultation that stands for the same booking. The visit is off only under this
    /// identifier, so whoever tells people must not say that their visit as such is canceled.
    package var mergedInto: ConsultationID?
    /// What the visit is at Calendly. Consultations with the same one are invitees of a group event, which is one visit.
    package var calendarEvent: CalendarEvent?

    private enum CodingKeys: String, CodingKey {
        case consultation, sequence, kind, customer, visit, previousVisit, address, answers, hosts, canceledBy, reason
        case mergedInto, calendarEvent
        // Spelled as the snake_case key strategy reads `cancel_url` back.
        case cancelURL = "cancelUrl"
        case rescheduleURL = "rescheduleUrl"
    }

    /// An event in Calendly's calendar, which several invitees can share.
    package struct CalendarEvent: Codable, Hashable, Sendable {
        /// Calendly's URI of the scheduled event.
        package var uri: String
        /// Calendly's time of what is said of it here; of two times of the event the one of the later `asOf` is right.
        package var asOf: Date

        package init(uri: String, asOf: Date) {
            self.uri = uri
            self.asOf = asOf
        }
    }

    /// A host of the event at Calendly.
    package struct Host: Codable, Hashable, Sendable {
        /// Calendly's URI of the user.
        package var user: String
        package var name: String?
        package var email: String?

        package init(user: String, name: String? = nil, email: String? = nil) {
            self.user = user
            self.name = name
            self.email = email
        }
    }

    package init(
        consultation: ConsultationID, sequence: Int, kind: ConsultationKind, customer: Person, visit: Visit,
        previousVisit: Visit? = nil, address: String? = nil, answers: [String: String] = [:], hosts: [Host] = [],
        cancelURL: String? = nil, rescheduleURL: String? = nil, canceledBy: String? = nil, reason: String? = nil,
        mergedInto: ConsultationID? = nil, calendarEvent: CalendarEvent? = nil
    ) {
        self.consultation = consultation
        self.sequence = sequence
        self.kind = kind
        self.customer = customer
        self.visit = visit
        self.previousVisit = previousVisit
        self.address = address
        self.answers = answers
        self.hosts = hosts
        self.cancelURL = cancelURL
        self.rescheduleURL = rescheduleURL
        self.canceledBy = canceledBy
        self.reason = reason
        self.mergedInto = mergedInto
        self.calendarEvent = calendarEvent
    }
}

/// The body of `consultation.assigned`, `.released` and `.unassigned`: who goes, who no longer goes, or why nobody can.
package struct ConsultationAssignmentEvent: Codable, Hashable, Sendable {
    package var consultation: ConsultationID
    /// The sequence of the consultation event that led here.
    package var sequence: Int
    /// Goes up with each change of the assignment, of which one event can bring several about, and is never below `sequence`.
    /// Nil in messages of earlier versions.
    package var revision: Int?
    package var kind: ConsultationKind
    package var customer: Person
    package var visit: Visit
    /// With `consultation.assigned` to whoever had it before: when it was, if it was at another time.
    package var previousVisit: Visit?
    package var address: String?
    package var answers: [String: String]
    /// Who was assigned or released; nil for `consultation.unassigned`.
    package var assignee: Assignee?
    /// Whether the assignee had this consultation before, so that it is a change for them and not news.
    package var isUpdate: Bool
    /// How many other customers share the visit: invitees of the same group event. Nil in messages of earlier versions.
    package var companions: Int?
    /// Why nobody could be assigned, in plain words.
    package var reasons: [String]
    package var alternatives: [Alternative]

    package init(
        consultation: ConsultationID, sequence: Int, revision: Int? = nil, kind: ConsultationKind, customer: Person,
        visit: Visit, previousVisit: Visit? = nil, address: String? = nil, answers: [String: String] = [:],
        assignee: Assignee? = nil, isUpdate: Bool = false, companions: Int? = nil, reasons: [String] = [],
        alternatives: [Alternative] = []
    ) {
        self.consultation = consultation
        self.sequence = sequence
        self.revision = revision
        self.kind = kind
        self.customer = customer
        self.visit = visit
        self.previousVisit = previousVisit
        self.address = address
        self.answers = answers
        self.assignee = assignee
        self.isUpdate = isUpdate
        self.companions = companions
        self.reasons = reasons
        self.alternatives = alternatives
    }
}
