package import Domain

/// What the invitees of a chain amount to: one consultation as it stands.
package struct ConsultationProjection: Hashable, Sendable {
    package var state: ConsultationState
    /// URI of the invitee that stands for the consultation now.
    package var currentInvitee: String
    package var kind: ConsultationKind
    package var customer: Person
    package var visit: Visit
    package var address: String?
    package var answers: [String: String]
    package var hosts: [ConsultationEvent.Host]
    package var eventType: String?
    package var eventName: String?
    package var cancelURL: String?
    package var rescheduleURL: String?
    package var canceledBy: String?
    package var cancelReason: String?

    package init(
        state: ConsultationState, currentInvitee: String, kind: ConsultationKind, customer: Person, visit: Visit,
        address: String?, answers: [String: String], hosts: [ConsultationEvent.Host], eventType: String?,
        eventName: String?, cancelURL: String?, rescheduleURL: String?, canceledBy: String?, cancelReason: String?
    ) {
        self.state = state
        self.currentInvitee = currentInvitee
        self.kind = kind
        self.customer = customer
        self.visit = visit
        self.address = address
        self.answers = answers
        self.hosts = hosts
        self.eventType = eventType
        self.eventName = eventName
        self.cancelURL = cancelURL
        self.rescheduleURL = rescheduleURL
        self.canceledBy = canceledBy
        self.cancelReason = cancelReason
    }

    /// Projects a chain.
    ///
    /// The newest invitee of whom Calendly has spoken stands for the consultation; those before it have been replaced,
    /// whatever their own state. If that one is canceled by a reschedule whose new half has not come, the consultation waits
    /// in `rescheduling`.
    ///
    /// - Parameter chain: in any order.
    /// - Returns: nil if all records are placeholders.
    package static func project(chain: [InviteeRecord], rules: VisitRules) -> ConsultationProjection? {
        guard let current = InviteeChain.ordered(chain).last(where: { !$0.isPlaceholder }),
            let payload = current.snapshot?.payload
        else { return nil }
        let state: ConsultationState =
            if current.isCanceled { current.isMoved ? .rescheduling : .canceled } else if current.isNoShow {
                .noShow
            } else { .booked }
        let event = payload.scheduledEvent
        return ConsultationProjection(
            state: state,
            currentInvitee: current.uri,
            kind: rules.kind(of: event),
            customer: payload.customer,
            visit: Visit(
                startsAt: event.startTime.date, endsAt: event.endTime.date, timeZone: rules.siteTimeZone),
            address: payload.visitAddress,
            answers: Answers.mapped(payload.questionsAndAnswers),
            hosts: payload.hosts,
            eventType: event.eventType,
            eventName: event.name,
            cancelURL: payload.cancelURL,
            rescheduleURL: payload.rescheduleURL,
            canceledBy: state == .canceled ? payload.cancellation?.canceledBy?.nonBlank : nil,
            cancelReason: state == .canceled ? payload.cancellation?.reason?.nonBlank : nil)
    }
}
