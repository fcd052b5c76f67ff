import Crypto
package import Domain
import Foundation

/// A consultation as it is kept, as far as it follows from what Calendly says.
package struct ConsultationRecord: Hashable, Sendable {
    package var id: ConsultationID
    /// How many announcements have been made of it.
    package var sequence: Int
    /// What people were last told; nil as long as they were told nothing.
    package var told: Told?
    package var projection: ConsultationProjection
    /// The record that took over when two turned out to be one booking.
    package var mergedInto: ConsultationID?

    package init(
        id: ConsultationID, sequence: Int = 0, told: Told? = nil, projection: ConsultationProjection,
        mergedInto: ConsultationID? = nil
    ) {
        self.id = id
        self.sequence = sequence
        self.told = told
        self.projection = projection
        self.mergedInto = mergedInto
    }

    /// The id of the consultation that begins with an invitee. It follows from the URI, so the two halves of a reschedule
    /// make the same one, whichever comes first.
    package static func id(oldestInvitee uri: String) -> ConsultationID {
        ConsultationID(digest: Array(SHA256.hash(data: Array(("calendly consultation " + uri).utf8))))
    }

    /// Makes the announcements that are needed, and notes that they were made.
    ///
    /// - Parameter calendarEvent: what the visit is at Calendly.
    mutating func announce(at calendarEvent: ConsultationEvent.CalendarEvent?) -> [PendingAnnouncement] {
        let toldVisit = told.map {
            Visit(startsAt: $0.startsAt, endsAt: $0.endsAt, timeZone: projection.visit.timeZone)
        }
        return Announcement.needed(told: told, now: projection).map { announcement in
            sequence += 1
            told = Told(projection)
            var event = self.event
            event.calendarEvent = calendarEvent
            switch announcement {
            case .rescheduled: event.previousVisit = toldVisit
            // The visit that is off may be one that nobody has heard of; then people have to be told which one they knew.
            case .canceled: event.previousVisit = toldVisit == event.visit ? nil : toldVisit
            case .booked, .noShowMarked, .noShowCleared: break
            }
            return PendingAnnouncement(announcement: announcement, event: event)
        }
    }

    /// Takes back what people were told of this record, because another one stands for the same booking.
    mutating func merge(into survivor: ConsultationID) -> PendingAnnouncement? {
        mergedInto = survivor
        projection.state = .canceled
        projection.canceledBy = nil
        projection.cancelReason = nil
        guard let told, told.state != .canceled else { return nil }
        projection.visit.startsAt = told.startsAt
        projection.visit.endsAt = told.endsAt
        sequence += 1
        self.told = Told(projection)
        var event = self.event
        event.mergedInto = survivor
        return PendingAnnouncement(announcement: .canceled, event: event)
    }

    private var event: ConsultationEvent {
        ConsultationEvent(
            consultation: id, sequence: sequence, kind: projection.kind, customer: projection.customer,
            visit: projection.visit, address: projection.address, answers: projection.answers,
            hosts: projection.hosts, cancelURL: projection.cancelURL, rescheduleURL: projection.rescheduleURL,
            canceledBy: projection.canceledBy, reason: projection.cancelReason)
    }
}

/// Something that people have to be told, with the event that tells it.
package struct PendingAnnouncement: Hashable, Sendable {
    package var announcement: Announcement
    package var event: ConsultationEvent
}
