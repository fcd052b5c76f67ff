package import Domain
package import Foundation

/// What people were last told of a consultation.
package struct Told: Hashable, Sendable {
    package var state: ConsultationState
    package var invitee: String
    package var startsAt: Date
    package var endsAt: Date

    package init(state: ConsultationState, invitee: String, startsAt: Date, endsAt: Date) {
        self.state = state
        self.invitee = invitee
        self.startsAt = startsAt
        self.endsAt = endsAt
    }

    /// What people know once this has been announced.
    package init(_ projection: ConsultationProjection) {
        self.init(
            state: projection.state, invitee: projection.currentInvitee, startsAt: projection.visit.startsAt,
            endsAt: projection.visit.endsAt)
    }
}

/// What has to be said so that people know how a consultation stands.
package enum Announcement: String, Hashable, Sendable, CaseIterable {
    case booked, rescheduled, canceled, noShowMarked, noShowCleared

    /// Compares what people know with what is.
    ///
    /// It does not look at what has just arrived: news that changes nothing is not news, which is also why an echo of
    /// something that was announced before, such as a cancellation that we asked Calendly for, stays silent.
    ///
    /// - Parameter told: nil if nobody was ever told anything.
    /// - Returns: nil if there is nothing to say. While a reschedule is half known there never is.
    package static func needed(told: Told?, now: ConsultationProjection) -> Announcement? {
        switch (told?.state, now.state) {
        case (_, .rescheduling): nil
        case (nil, .booked), (.canceled, .booked): .booked
        case (.noShow, .booked) where told == Told(now).with(state: .noShow): .noShowCleared
        case (_, .booked): told == Told(now) ? nil : .rescheduled
        case (_, .noShow): told?.state == .noShow && told?.invitee == now.currentInvitee ? nil : .noShowMarked
        // A cancellation is told even to people who never heard of the booking: Calendly itself tells them nothing.
        case (_, .canceled): told?.state == .canceled ? nil : .canceled
        }
    }
}

extension Told {
    fileprivate func with(state: ConsultationState) -> Told {
        var told = self
        told.state = state
        return told
    }
}
