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
    /// A mark that nobody came says something about a visit and does not take it off, so people first have to know of that
    /// visit: a mark that overtakes its booking or its move makes two announcements, the same two as in the right order.
    ///
    /// - Parameter told: nil if nobody was ever told anything.
    /// - Returns: in the order in which it has to be said. While a reschedule is half known there is nothing to say.
    package static func needed(told: Told?, now: ConsultationProjection) -> [Announcement] {
        switch now.state {
        case .rescheduling:
            return []
        case .canceled:
            // A cancellation is told even to people who never heard of the booking: Calendly itself tells them nothing.
            return told?.state == .canceled ? [] : [.canceled]
        case .booked, .noShow:
            let visit = visitNews(told: told, now: now)
            let wasMarked = told?.state == .noShow && visit == nil
            let mark: Announcement? =
                switch (wasMarked, now.state == .noShow) {
                case (false, true): .noShowMarked
                case (true, false): .noShowCleared
                case (true, true), (false, false): nil
                }
            return [visit, mark].compactMap(\.self)
        }
    }

    /// What has to be said of the visit itself, whether anybody came or not.
    private static func visitNews(told: Told?, now: ConsultationProjection) -> Announcement? {
        guard var told, told.state != .canceled else { return .booked }
        told.state = now.state
        return told == Told(now) ? nil : .rescheduled
    }
}
