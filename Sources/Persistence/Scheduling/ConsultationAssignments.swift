package import Domain
package import Foundation
package import Postgres

/// Who goes to a consultation, as the scheduler keeps it.
package struct ConsultationAssignment: Hashable, Sendable {
    package var state: AssignmentState
    package var assignee: Assignee?
    /// The sequence of the event that it answers; an older event is stale.
    package var sequence: Int
    /// Goes up with each write; of two words to one person about it, the one with the higher revision holds.
    package var revision: Int
    package var reasons: [String]
    package var alternatives: [Alternative]
    /// Whether the consultation turned out to be part of another one, which is booked instead.
    package var isMerged: Bool

    package init(
        state: AssignmentState, assignee: Assignee? = nil, sequence: Int, revision: Int = 0,
        reasons: [String] = [], alternatives: [Alternative] = [], isMerged: Bool = false
    ) {
        self.state = state
        self.assignee = assignee
        self.sequence = sequence
        self.revision = revision
        self.reasons = reasons
        self.alternatives = alternatives
        self.isMerged = isMerged
    }
}

/// The assignment columns of consultations. The other columns are not the scheduler's to write.
package enum ConsultationAssignments {
    /// Writes the assignment of a locked consultation, with the next statement or the commit; its version goes up, because
    /// its view changes.
    ///
    /// - Parameter appointment: what it is for; nil if the consultation takes part in none.
    package static func update(
        _ id: ConsultationID, to assignment: ConsultationAssignment, appointment: String?, at now: Date,
        in transaction: Transaction
    ) async throws {
        try await transaction.enqueue(
            """
            update consultations set assignment = \(assignment.state.rawValue), appointment = \(appointment),
                assignee = \(assignment.assignee?.id.rawValue), assignment_sequence = \(assignment.sequence),
                assignment_revision = \(assignment.revision),
                assignment_reasons = \(try JSONText(wire: assignment.reasons)),
                assignment_alternatives = \(try JSONText(wire: assignment.alternatives)), version = version + 1,
                updated_at = \(now)
            where id = \(id.rawValue)
            """)
    }
}
