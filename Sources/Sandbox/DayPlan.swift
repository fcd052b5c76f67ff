package import Domain
package import Foundation

/// What a day sent, and what must have come of it.
package struct DayPlan: Sendable {
    /// A consultation as it must be in the end.
    package struct ExpectedConsultation: Sendable {
        package var label: String
        package var email: String
        package var state: ConsultationState
        package var startsAt: Date
        /// Mails that the customer must have had; nil where either number is right.
        package var mails: Int?
        /// Nil where it does not matter.
        package var assignment: AssignmentState?

        init(
            _ booking: CalendlyAccount.Booking, state: ConsultationState, mails: Int?,
            assignment: AssignmentState? = .assigned
        ) {
            label = booking.name
            email = booking.email
            self.state = state
            startsAt = booking.startsAt
            self.mails = mails
            self.assignment = assignment
        }
    }

    /// A job as it must be in the end; without a state, there must be none.
    package struct ExpectedJob: Sendable {
        package var label: String
        package var email: String
        package var state: String?
        package var startsAt: Date?
        package var mails: Int
    }

    /// The mail domain of this run's customers.
    package let domain: String
    package internal(set) var consultations: [ExpectedConsultation] = []
    package internal(set) var jobs: [ExpectedJob] = []
    package internal(set) var expectedDeadLetters = 0
    /// Answers by kind of request and status.
    package internal(set) var requests: [String: [Int: Int]] = [:]
    /// What already went wrong while the day was played.
    package internal(set) var mistakes: [String] = []

    init(domain: String) {
        self.domain = domain
    }

    mutating func expect(_ consultation: ExpectedConsultation) {
        consultations.append(consultation)
    }

    mutating func expect(_ job: ExpectedJob) {
        jobs.append(job)
    }
}
