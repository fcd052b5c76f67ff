package import Domain
package import Messaging

/// The body of `calendly.reschedule_due`, which the worker sends to itself: the old half of a reschedule came some time ago.
package struct RescheduleDue: Codable, Hashable, Sendable {
    package var consultation: ConsultationID
    /// URI of the invitee whose successor is awaited.
    package var invitee: String

    package init(consultation: ConsultationID, invitee: String) {
        self.consultation = consultation
        self.invitee = invitee
    }
}

extension MessageType {
    /// To the sync worker itself: look whether a reschedule has been completed meanwhile.
    package static let rescheduleDue = MessageType(rawValue: "calendly.reschedule_due")
}
