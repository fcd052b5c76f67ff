package import Domain
package import Foundation
import Messaging
package import Postgres

/// Who goes to a consultation, as the scheduler keeps it.
package struct ConsultationAssignment: Hashable, Sendable {
    package var state: AssignmentState
    package var assignee: Assignee?
    /// The sequence of the event that it answers; an older event is stale.
    package var sequence: Int
    package var reasons: [String]
    package var alternatives: [Alternative]
    /// Whether the consultation turned out to be part of another one, which is booked instead.
    package var isMerged: Bool

    package init(
        state: AssignmentState, assignee: Assignee? = nil, sequence: Int, reasons: [String] = [],
        alternatives: [Alternative] = [], isMerged: Bool = false
    ) {
        self.state = state
        self.assignee = assignee
        self.sequence = sequence
        self.reasons = reasons
        self.alternatives = alternatives
        self.isMerged = isMerged
    }
}

/// The assignment columns of consultations. The other columns are not the scheduler's to write.
package enum ConsultationAssignments {
    /// Reads the assignment and keeps others from changing the consultation until the transaction ends.
    package static func lock(
        _ id: ConsultationID, in transaction: Transaction
    ) async throws -> ConsultationAssignment? {
        let rows = try await transaction.query(
            """
            select c.assignment, c.assignment_sequence, c.merged_into is not null as merged, c.assignee,
                (select r.name from resources r where r.id = c.assignee) as name,
                (select r.email from resources r where r.id = c.assignee) as email
            from consultations c where c.id = \(id.rawValue) for no key update of c
            """)
        return try rows.first.map { row in
            let assignee = try row.decodeRawIfPresent("assignee", as: ResourceID.self)
            return ConsultationAssignment(
                state: try row.decodeRaw("assignment"),
                assignee: try assignee.map {
                    Assignee(id: $0, name: try row.decode("name"), email: try row.decode("email"))
                },
                sequence: try row.decode("assignment_sequence"), isMerged: try row.decode("merged"))
        }
    }

    /// Writes the assignment of a locked consultation; its version goes up, because its view changes.
    package static func update(
        _ id: ConsultationID, to assignment: ConsultationAssignment, at now: Date, in transaction: Transaction
    ) async throws {
        func json(_ value: some Encodable) throws -> JSONText {
            JSONText(String(decoding: try WireJSON.encode(value), as: UTF8.self))
        }
        _ = try await transaction.query(
            """
            update consultations set assignment = \(assignment.state.rawValue),
                assignee = \(assignment.assignee?.id.rawValue), assignment_sequence = \(assignment.sequence),
                assignment_reasons = \(try json(assignment.reasons)),
                assignment_alternatives = \(try json(assignment.alternatives)), version = version + 1,
                updated_at = \(now)
            where id = \(id.rawValue)
            """)
    }
}
