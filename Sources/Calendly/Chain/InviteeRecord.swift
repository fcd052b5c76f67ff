import Domain

/// One delivery, as far as it is about an invitee.
package struct InviteeObservation: Hashable, Sendable {
    package var change: WebhookEnvelope.InviteeChange
    /// When the webhook was made, in whole seconds.
    package var webhookCreatedAt: Timestamp?
    package var payload: InviteePayload
    /// Whether the signature was stale: then this may be a late repetition of something long overtaken.
    package var isHint: Bool

    package init(
        change: WebhookEnvelope.InviteeChange, webhookCreatedAt: Timestamp?, payload: InviteePayload, isHint: Bool
    ) {
        self.change = change
        self.webhookCreatedAt = webhookCreatedAt
        self.payload = payload
        self.isHint = isHint
    }

    /// Calendly's time of what the payload shows.
    package var snapshotAt: Timestamp {
        payload.updatedAt ?? payload.createdAt ?? webhookCreatedAt ?? Timestamp(microseconds: 0)
    }

    /// The invitees that this delivery says belong together.
    package var mentionedURIs: Set<String> {
        Set([payload.uri, payload.oldInvitee, payload.newInvitee].compactMap { $0 })
    }
}

/// All that is known of one invitee: the join of every delivery about it.
///
/// `apply` only ever moves upwards in an order (a flag is set, a time grows, a newer snapshot replaces an older one), so it is
/// commutative, associative and idempotent: whatever the order and number of deliveries, the same set of them makes the same
/// record. Everything else, what people are told included, is computed from such records.
package struct InviteeRecord: Hashable, Sendable {
    package let uri: String
    /// A valid delivery said that this invitee is canceled; that is final for an invitee URI.
    package var isCanceledForCertain = false
    /// The newest time at which a stale delivery said that this invitee is canceled.
    package var canceledHintAt: Timestamp?
    /// The newest time at which a valid delivery said that this invitee is not canceled.
    package var activeAt: Timestamp?
    /// This is the old half of a reschedule.
    package var isRescheduled = false
    package var oldInvitee: String?
    package var newInvitee: String?
    /// The newest mark that the invitee did not come.
    package var noShow: InviteePayload.NoShow?
    /// Marks up to this time have been taken back.
    package var noShowClearedAt: Timestamp?
    package var snapshot: Snapshot?

    /// The newest payload, without its no-show mark, which has an order of its own.
    package struct Snapshot: Hashable, Sendable {
        package var at: Timestamp
        package var isHint: Bool
        package var payload: InviteePayload

        package init(at: Timestamp, isHint: Bool, payload: InviteePayload) {
            self.at = at
            self.isHint = isHint
            self.payload = payload
        }
    }

    /// A placeholder: an invitee that is known only because another one links to it.
    package init(uri: String) {
        self.uri = uri
    }

    package var isPlaceholder: Bool { snapshot == nil }

    /// Whether the booking is off. A hint counts unless something newer says otherwise.
    package var isCanceled: Bool {
        if isCanceledForCertain { return true }
        guard let canceledHintAt else { return false }
        return activeAt.map { canceledHintAt >= $0 } ?? true
    }

    /// Whether the host's mark that nobody came stands.
    package var isNoShow: Bool {
        guard let marked = noShow?.createdAt else { return false }
        return noShowClearedAt.map { marked > $0 } ?? true
    }

    /// Whether the newest snapshot is only a hint.
    package var isHint: Bool { snapshot?.isHint ?? false }

    /// Whether a reschedule has replaced it, or is about to.
    package var isMoved: Bool { isRescheduled || newInvitee != nil }

    /// Adds what a delivery says. A delivery about another invitee is a programmer's error.
    package mutating func apply(_ observation: InviteeObservation) {
        let payload = observation.payload
        precondition(payload.uri == uri, "an observation of another invitee")
        applyStatus(observation)
        isRescheduled = isRescheduled || payload.rescheduled
        oldInvitee = Self.join(oldInvitee, payload.oldInvitee)
        newInvitee = Self.join(newInvitee, payload.newInvitee)
        applyNoShow(observation)
        applySnapshot(observation)
    }

    private mutating func applyStatus(_ observation: InviteeObservation) {
        let saysCanceled = observation.change == .canceled || observation.payload.status == .canceled
        switch (saysCanceled, observation.isHint) {
        case (true, false): isCanceledForCertain = true
        case (true, true): canceledHintAt = Self.later(canceledHintAt, observation.snapshotAt)
        case (false, false): activeAt = Self.later(activeAt, observation.snapshotAt)
        case (false, true): break
        }
    }

    private mutating func applyNoShow(_ observation: InviteeObservation) {
        let mark = observation.payload.noShow
        if observation.change == .noShowCleared {
            // If the mark that was removed is named, it and all before it are gone, exactly. If not, the webhook's own time
            // has to do; it is in whole seconds.
            noShowClearedAt = Self.later(
                noShowClearedAt, mark?.createdAt ?? observation.webhookCreatedAt ?? observation.snapshotAt)
            return
        }
        guard mark != nil || observation.change == .noShowMarked else { return }
        let at = mark?.createdAt ?? observation.webhookCreatedAt ?? observation.snapshotAt
        let found = InviteePayload.NoShow(uri: mark?.uri, createdAt: at)
        guard let known = noShow, let knownAt = known.createdAt else {
            noShow = found
            return
        }
        if (at, found.uri ?? "") > (knownAt, known.uri ?? "") { noShow = found }
    }

    private mutating func applySnapshot(_ observation: InviteeObservation) {
        var payload = observation.payload
        payload.noShow = nil
        let found = Snapshot(at: observation.snapshotAt, isHint: observation.isHint, payload: payload)
        guard let known = snapshot else {
            snapshot = found
            return
        }
        if found.replaces(known) { snapshot = found }
    }

    /// Links never change at Calendly. Should two deliveries disagree, the choice must not depend on which came first.
    private static func join(_ left: String?, _ right: String?) -> String? {
        guard let left, let right else { return left ?? right }
        return max(left, right)
    }

    private static func later(_ left: Timestamp?, _ right: Timestamp) -> Timestamp {
        left.map { max($0, right) } ?? right
    }
}

extension InviteeRecord.Snapshot {
    /// The event at Calendly that the invitee takes part in, alone or with others.
    var calendarEvent: ConsultationEvent.CalendarEvent {
        let event = payload.scheduledEvent
        return ConsultationEvent.CalendarEvent(uri: event.uri, asOf: (event.updatedAt ?? at).date)
    }

    /// A total order: the newer time wins; at the same time a fact wins over a hint, and a cancellation over a booking.
    func replaces(_ other: InviteeRecord.Snapshot) -> Bool {
        func rank(_ snapshot: Self) -> (Timestamp, Int, Int) {
            (snapshot.at, snapshot.isHint ? 0 : 1, snapshot.payload.status == .canceled ? 1 : 0)
        }
        let (mine, theirs) = (rank(self), rank(other))
        if mine != theirs { return mine > theirs }
        // Two different payloads for one microsecond: Calendly does not do that, and any fixed choice will do.
        return payload != other.payload && payload.canonicalText > other.payload.canonicalText
    }
}
