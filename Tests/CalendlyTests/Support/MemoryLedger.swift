import Calendly
import Domain
import TestSupport

/// What the worker keeps in the database, in memory: loads, applies and stores as the worker does.
struct MemoryLedger {
    private(set) var invitees: [String: InviteeRecord] = [:]
    private(set) var consultations: [ConsultationID: ConsultationRecord] = [:]
    private(set) var owners: [String: ConsultationID] = [:]
    private(set) var told: [PendingAnnouncement] = []
    private(set) var waits = 0

    mutating func deliver(_ body: [UInt8], isHint: Bool = false) throws {
        let envelope = try WebhookEnvelope.decode(body)
        guard case .invitee(let change, let payload) = envelope.payload else { return }
        let observation = InviteeObservation(
            change: change, webhookCreatedAt: envelope.createdAt, payload: payload, isHint: isHint)
        let ids = Set(observation.mentionedURIs.compactMap { owners[$0] })
        let update = ChainUpdate.apply(
            observation, invitees: owners.filter { ids.contains($0.value) }.compactMap { invitees[$0.key] },
            consultations: ids.compactMap { consultations[$0] }, rules: VisitRules())
        for invitee in update.invitees {
            invitees[invitee.uri] = invitee
            owners[invitee.uri] = update.consultation.id
        }
        consultations[update.consultation.id] = update.consultation
        for merger in update.merged { consultations[merger.after.id] = merger.after }
        told += update.announcements
        if update.beginsWaiting { waits += 1 }
    }

    /// The consultations that stand, without those merged into another.
    var standing: [ConsultationRecord] { consultations.values.filter { $0.mergedInto == nil } }

    /// What must not depend on the order of deliveries: how each consultation stands, and of whom it is made.
    var outcome: Set<Outcome> {
        Set(
            standing.map { record in
                Outcome(
                    projection: record.projection,
                    invitees: Set(owners.filter { $0.value == record.id }.compactMap { invitees[$0.key] }))
            })
    }

    struct Outcome: Hashable {
        var projection: ConsultationProjection
        var invitees: Set<InviteeRecord>
    }

    /// Names of what was told, in order.
    var story: [Announcement] { told.map(\.announcement) }
}

extension Array {
    /// Every order of the elements.
    var permutations: [[Element]] {
        guard count > 1 else { return [self] }
        return indices.flatMap { index in
            var rest = self
            let first = rest.remove(at: index)
            return rest.permutations.map { [first] + $0 }
        }
    }
}
