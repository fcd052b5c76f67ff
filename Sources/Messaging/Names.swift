/// The exchanges that messages are published to. `topology/topology.yaml` declares them.
package enum Exchange: String, Sendable, CaseIterable {
    /// What outsiders sent.
    case inbound
    /// What staff or a service asks for.
    case commands
    /// What has happened; published from the outbox only.
    case events
    /// Retry tiers, keyed by the tier queue's name.
    case retry
    /// Dead letters, keyed by the work queue's name.
    case dead
    /// The broker's nameless exchange, keyed by queue name. Only replays use it.
    case `default` = ""
}

/// What kind of message it is; also the routing key of commands, events and inbound messages.
package struct MessageType: RawRepresentable, Hashable, Sendable, Codable, CustomStringConvertible {
    package let rawValue: String

    package init(rawValue: String) {
        self.rawValue = rawValue
    }

    package var description: String { rawValue }

    package static let createJob = MessageType(rawValue: "job.create")
    package static let rescheduleJob = MessageType(rawValue: "job.reschedule")
    package static let cancelJob = MessageType(rawValue: "job.cancel")

    /// To the notification worker: send one planned notification.
    package static let sendNotification = MessageType(rawValue: "notification.send")

    package static let consultationBooked = MessageType(rawValue: "consultation.booked")
    package static let consultationRescheduled = MessageType(rawValue: "consultation.rescheduled")
    package static let consultationCanceled = MessageType(rawValue: "consultation.canceled")
    package static let consultationNoShowMarked = MessageType(rawValue: "consultation.no_show_marked")
    package static let consultationNoShowCleared = MessageType(rawValue: "consultation.no_show_cleared")
    package static let consultationAssigned = MessageType(rawValue: "consultation.assigned")
    package static let consultationReleased = MessageType(rawValue: "consultation.released")
    package static let consultationUnassigned = MessageType(rawValue: "consultation.unassigned")

    package static let jobScheduled = MessageType(rawValue: "job.scheduled")
    package static let jobRescheduled = MessageType(rawValue: "job.rescheduled")
    package static let jobCanceled = MessageType(rawValue: "job.canceled")

    /// The routing key and type of a webhook as Calendly names it: `invitee.created` becomes `calendly.invitee.created`.
    package static func calendly(_ event: String) -> MessageType {
        MessageType(rawValue: "calendly." + event)
    }
}
