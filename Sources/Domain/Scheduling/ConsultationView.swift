package import Foundation

/// A consultation as the API shows it.
package struct ConsultationView: Codable, Hashable, Sendable {
    package var id: ConsultationID
    package var kind: ConsultationKind
    package var state: ConsultationState
    /// The entity tag.
    package var version: Int
    package var sequence: Int
    package var customer: Person
    package var startsAt: Date
    package var endsAt: Date
    package var timeZone: String
    package var address: String?
    /// By normalised key, and unmapped ones by their question's text.
    package var answers: [String: String]
    package var assignment: AssignmentState
    package var assignee: ResourceName?
    /// Why nobody goes, or what to know about the assignment, in plain words.
    package var reasons: [String]
    /// What would work, when nobody could be assigned.
    package var alternatives: [Alternative]
    package var createdAt: Date
    package var updatedAt: Date

    package init(
        id: ConsultationID, kind: ConsultationKind, state: ConsultationState, version: Int, sequence: Int,
        customer: Person, startsAt: Date, endsAt: Date, timeZone: String, address: String? = nil,
        answers: [String: String] = [:], assignment: AssignmentState, assignee: ResourceName? = nil,
        reasons: [String] = [], alternatives: [Alternative] = [], createdAt: Date, updatedAt: Date
    ) {
        self.id = id
        self.kind = kind
        self.state = state
        self.version = version
        self.sequence = sequence
        self.customer = customer
        self.startsAt = startsAt
        self.endsAt = endsAt
        self.timeZone = timeZone
        self.address = address
        self.answers = answers
        self.assignment = assignment
        self.assignee = assignee
        self.reasons = reasons
        self.alternatives = alternatives
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }
}
