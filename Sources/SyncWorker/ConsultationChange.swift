import Calendly
import Domain
import Foundation
import Messaging
import Persistence

/// What a delivery has changed of a consultation, as the change log tells it.
struct ConsultationChange {
    var type: ChangeType
    var before: Summary?
    var after: Summary
    var reason: String?

    /// How a consultation stands, without the customer's person.
    struct Summary: Encodable, Equatable {
        var kind: ConsultationKind
        var state: ConsultationState
        var visit: Visit
        var address: String?
        var currentInvitee: String
        var mergedInto: ConsultationID?

        init(_ record: ConsultationRecord) {
            kind = record.projection.kind
            state = record.projection.state
            visit = record.projection.visit
            address = record.projection.address
            currentInvitee = record.projection.currentInvitee
            mergedInto = record.mergedInto
        }
    }

    /// - Returns: nil if nothing has changed that is worth a line.
    init?(before: ConsultationRecord?, after: ConsultationRecord) {
        self.before = before.map(Summary.init)
        self.after = Summary(after)
        reason = after.projection.cancelReason
        guard let old = before else {
            type = .created
            return
        }
        let (was, now) = (old.projection, after.projection)
        if after.mergedInto != old.mergedInto {
            type = .statusChanged
            reason = "The same booking is kept as another consultation."
        } else if now.state != was.state {
            switch now.state {
            case .canceled: type = .canceled
            case .booked where now.currentInvitee != was.currentInvitee: type = .rescheduled
            case .booked, .noShow, .rescheduling: type = .statusChanged
            }
        } else if now.currentInvitee != was.currentInvitee || now.visit != was.visit {
            type = .rescheduled
        } else if now != was {
            type = .detailsChanged
        } else {
            return nil
        }
    }

    func entry(for id: ConsultationID, actor: String, at now: Date, following envelope: Envelope) throws
        -> ChangeLogEntry
    {
        ChangeLogEntry(
            at: now, subject: .consultation(id), change: type, before: try before.map { try ChangeLogEntry.json($0) },
            after: try ChangeLogEntry.json(after), actor: actor, source: .calendlyWebhook, reason: reason,
            requestID: envelope.id, correlationID: envelope.correlationID)
    }
}
