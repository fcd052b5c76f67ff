import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import Traces

/// Writes the notices of an event, and a message to send each of them, into one transaction.
struct NoticePlanning: Sendable {
    let planner: NoticePlanner
    let mailDomain: String

    /// - Returns: how many notices were new, and how many the event calls for.
    func plan(
        _ envelope: Envelope, at now: Date, in transaction: Transaction
    ) async throws -> (planned: Int, notices: Int) {
        let notices = try planner.notices(of: envelope)
        var count = 0
        for notice in notices {
            let id = try await NotificationRepository.plan(
                notice, mailDomain: mailDomain, following: envelope, in: transaction)
            guard let id else { continue }
            count += 1
            let message = Envelope(
                id: MessageID.derived(from: envelope.id, MessageType.sendNotification.rawValue, id.rawValue),
                type: .sendNotification, correlationID: envelope.correlationID, causationID: envelope.id,
                timestamp: now, receivedAt: envelope.receivedAt, traceParent: envelope.traceParent,
                body: try WireJSON.encode(SendNotification(notification: id)))
            try await Outbox.insert(
                OutgoingMessage(exchange: .commands, envelope: message.sent(by: .current)), in: transaction)
        }
        return (count, notices.count)
    }
}
