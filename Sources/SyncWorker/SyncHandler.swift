import Calendly
import Domain
import Foundation
import Logging
package import Messaging
import Persistence
import Postgres
package import WorkerRuntime

/// Turns Calendly's webhooks into consultations, and says what has become of them.
///
/// A consultation is a fold over everything that is known of its invitees (see `InviteeRecord` and `ConsultationProjection`),
/// so early, late, repeated and crossed deliveries end in the same rows. What is announced follows from comparing how things
/// stand with what people were last told. For the same reason an echo says nothing new: whatever of ours cancels or books at
/// Calendly notes the announcement with the consultation first, and the webhook that follows finds people told.
package struct SyncHandler: MessageHandler {
    private let configuration: SyncConfiguration

    package init(configuration: SyncConfiguration = SyncConfiguration()) {
        self.configuration = configuration
    }

    /// - Returns: `deadLetter` with code `decode` and the JSON path for an event that we should understand and do not.
    package func handle(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome {
        // Only our own messages come unsigned, so nobody outside can send this one.
        if envelope.type == .rescheduleDue, envelope.signature == nil {
            return try await remind(envelope, in: context)
        }
        let webhook: WebhookEnvelope
        do {
            webhook = try WebhookEnvelope.decode(envelope.body)
        } catch let error as WebhookDecodingError {
            guard let event = Self.eventIfUnknown(envelope.body) else {
                return .deadLetter(code: "decode", detail: error.description)
            }
            return try await keep(envelope, event: event, in: context)
        }
        switch webhook.payload {
        case .invitee(let change, let payload):
            let observation = InviteeObservation(
                change: change, webhookCreatedAt: webhook.createdAt, payload: payload,
                isHint: envelope.signature == .stale)
            return try await apply(observation, from: envelope, in: context)
        case .routingFormSubmission, .unhandled:
            return try await keep(envelope, event: webhook.event, in: context)
        }
    }

    // MARK: - Invitees

    private func apply(
        _ observation: InviteeObservation, from envelope: Envelope, in context: HandlerContext
    ) async throws -> Outcome {
        let transaction = context.transaction
        let locked = try await ConsultationRepository.lockChains(
            mentioning: observation.mentionedURIs, in: transaction)
        let rules = VisitRules(eventTypes: locked.eventTypes, siteTimeZone: configuration.siteTimeZone)
        let update = ChainUpdate.apply(
            observation, invitees: locked.invitees, consultations: locked.consultations, rules: rules)
        guard try await ConsultationRepository.save(update, over: locked, at: context.now, in: transaction) else {
            return .ignored(reason: "nothing new")
        }
        try await record(update, from: envelope, in: context)
        for announcement in update.announcements {
            try await context.publish(announcement.message(following: envelope, at: context.now))
        }
        if update.beginsWaiting { try await wait(for: update.consultation, from: envelope, in: context) }
        context.logger.debug(
            "consultation follows Calendly",
            metadata: [
                "consultation.id": "\(update.consultation.id)",
                "consultation.state": "\(update.consultation.projection.state.rawValue)",
                "consultation.announcements":
                    "\(update.announcements.map(\.announcement.rawValue).joined(separator: ","))",
            ])
        return .done
    }

    private func record(_ update: ChainUpdate, from envelope: Envelope, in context: HandlerContext) async throws {
        let changes =
            update.merged.map { (before: Optional($0.before), after: $0.after) }
            + [(before: update.previous, after: update.consultation)]
        for (before, after) in changes {
            guard let change = ConsultationChange(before: before, after: after) else { continue }
            let actor = change.type == .canceled ? after.projection.canceledBy : nil
            try await ChangeLog.append(
                try change.entry(
                    for: after.id, actor: actor ?? "Calendly", at: context.now, following: envelope),
                in: context.transaction)
        }
    }

    // MARK: - Half a reschedule

    private func wait(
        for consultation: ConsultationRecord, from envelope: Envelope, in context: HandlerContext
    ) async throws {
        let due = RescheduleDue(
            consultation: consultation.id, invitee: consultation.projection.currentInvitee)
        let message = OutgoingMessage(
            exchange: .commands,
            envelope: Envelope(
                id: MessageID.derived(from: envelope.id, MessageType.rescheduleDue.rawValue, due.consultation.rawValue),
                type: .rescheduleDue, correlationID: envelope.correlationID, causationID: envelope.id,
                timestamp: context.now, receivedAt: envelope.receivedAt, traceParent: envelope.traceParent,
                body: try WireJSON.encode(due)))
        let wait = Double(configuration.rescheduleWait.components.seconds)
        try await context.publish(message, availableAt: context.now.addingTimeInterval(wait))
    }

    /// The time for the new half is over. Nobody is told of a cancellation that may be none; a person has to look.
    private func remind(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome {
        let due = try WireJSON.decode(RescheduleDue.self, from: envelope.body)
        guard let consultation = try await ConsultationRepository.lock(due.consultation, in: context.transaction),
            consultation.projection.state == .rescheduling, consultation.projection.currentInvitee == due.invitee
        else { return .ignored(reason: "the reschedule is complete") }
        try await ChangeLog.append(
            ChangeLogEntry(
                at: context.now, subject: .consultation(consultation.id), change: .noteAdded, actor: "sync",
                source: .system,
                reason: "Calendly said that this was rescheduled, but not to when. Look it up at Calendly.",
                requestID: envelope.id, correlationID: envelope.correlationID),
            in: context.transaction)
        context.logger.warning(
            "new half of a reschedule has not come; look up the consultation at Calendly",
            metadata: ["consultation.id": "\(consultation.id)"])
        return .done
    }

    // MARK: - Everything else

    private func keep(_ envelope: Envelope, event: String, in context: HandlerContext) async throws -> Outcome {
        try await ConsultationRepository.keepUnhandled(
            messageID: envelope.id, event: event, receivedAt: envelope.receivedAt, body: envelope.body,
            in: context.transaction)
        return .ignored(reason: "no rule for this event")
    }

    /// The event's name, empty if there is none, of a body that is JSON but need not be understood.
    private static func eventIfUnknown(_ body: [UInt8]) -> String? {
        do {
            let event = try WebhookSummary.parse(body).event
            return WebhookKind(rawValue: event) == nil ? event : nil
        } catch .notJSON {
            return nil
        } catch {
            return ""
        }
    }
}

extension PendingAnnouncement {
    /// The message for everybody who cares; the same delivery always makes the same one.
    fileprivate func message(following envelope: Envelope, at now: Date) throws -> OutgoingMessage {
        let type: MessageType =
            switch announcement {
            case .booked: .consultationBooked
            case .rescheduled: .consultationRescheduled
            case .canceled: .consultationCanceled
            case .noShowMarked: .consultationNoShowMarked
            case .noShowCleared: .consultationNoShowCleared
            }
        return OutgoingMessage(
            exchange: .events,
            envelope: Envelope(
                id: MessageID.derived(from: envelope.id, type.rawValue, event.consultation.rawValue), type: type,
                correlationID: envelope.correlationID, causationID: envelope.id, timestamp: now,
                receivedAt: envelope.receivedAt, traceParent: envelope.traceParent,
                body: try WireJSON.encode(event)))
    }
}
