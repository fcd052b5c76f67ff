import Domain

/// What one delivery changes: a pure function from what is known to what is known then, and what has to be said.
///
/// The caller loads the records, keeps them locked, and stores the result in one transaction.
package struct ChainUpdate: Hashable, Sendable {
    /// Every invitee of the chain, the ones that were only linked to included.
    package var invitees: [InviteeRecord]
    /// The consultation of all these invitees.
    package var consultation: ConsultationRecord
    /// The consultation as it was; nil if it is new.
    package var previous: ConsultationRecord?
    /// Consultations that turned out to be the same one, as they were and as they are.
    package var merged: [Merger]
    package var announcements: [PendingAnnouncement]
    /// Whether the old half of a reschedule came just now and the new one is to be waited for.
    package var beginsWaiting: Bool

    package struct Merger: Hashable, Sendable {
        package var before: ConsultationRecord
        package var after: ConsultationRecord
    }

    /// Applies a delivery.
    ///
    /// - Parameters:
    ///   - invitees: all those of the consultations that an invitee the delivery mentions belongs to.
    ///   - consultations: those consultations, without any that were merged into another.
    package static func apply(
        _ observation: InviteeObservation, invitees: [InviteeRecord], consultations: [ConsultationRecord],
        rules: VisitRules
    ) -> ChainUpdate {
        var known = Dictionary(uniqueKeysWithValues: invitees.map { ($0.uri, $0) })
        for uri in observation.mentionedURIs where known[uri] == nil { known[uri] = InviteeRecord(uri: uri) }
        known[observation.payload.uri]?.apply(observation)

        let chain = InviteeChain.ordered(Array(known.values))
        guard let projection = ConsultationProjection.project(chain: chain, rules: rules) else {
            preconditionFailure("the invitee of a delivery is no placeholder")
        }
        let ranked = rank(consultations, along: chain, current: projection.currentInvitee)
        let previous = ranked.first
        var consultation =
            previous
            ?? ConsultationRecord(
                id: ConsultationRecord.id(oldestInvitee: chain[0].uri), projection: projection)
        consultation.projection = projection

        var announcements: [PendingAnnouncement] = []
        let merged = ranked.dropFirst().map { before in
            var after = before
            if let withdrawal = after.merge(into: consultation.id) { announcements.append(withdrawal) }
            return Merger(before: before, after: after)
        }
        announcements += consultation.announce(at: known[projection.currentInvitee]?.snapshot?.calendarEvent)

        let waitedBefore =
            previous.map {
                $0.projection.state == .rescheduling && $0.projection.currentInvitee == projection.currentInvitee
            } ?? false
        return ChainUpdate(
            invitees: chain, consultation: consultation, previous: previous, merged: merged,
            announcements: announcements, beginsWaiting: projection.state == .rescheduling && !waitedBefore)
    }

    /// Puts first the consultation that the others are merged into: the one of which people already know how things stand,
    /// so that least has to be said; else one that they know at all; else the one that began first.
    private static func rank(
        _ consultations: [ConsultationRecord], along chain: [InviteeRecord], current: String
    ) -> [ConsultationRecord] {
        let positions = Dictionary(uniqueKeysWithValues: chain.enumerated().map { ($1.uri, $0) })
        func key(_ record: ConsultationRecord) -> (Int, Int, String) {
            let familiarity = record.told.map { $0.invitee == current ? 0 : 1 } ?? 2
            return (familiarity, positions[record.projection.currentInvitee] ?? chain.count, record.id.rawValue)
        }
        return consultations.sorted { key($0) < key($1) }
    }
}
