import Domain
import Foundation
import Messaging
import Persistence
import WorkerRuntime

/// Writes the notices of an event, and a message to send each of them, into one transaction.
struct NoticePlanning: Sendable {
    let planner: NoticePlanner
    let mailDomain: String

    /// A notice that has been planned before is planned no second time.
    func plan(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome {
        let notices = try planner.notices(of: envelope)
        for notice in notices {
            let id = try await NotificationRepository.plan(
                notice, mailDomain: mailDomain, following: envelope, in: context.transaction)
            guard let id else { continue }
            let message = Envelope(
                id: MessageID.derived(from: envelope.id, MessageType.sendNotification.rawValue, id.rawValue),
                type: .sendNotification, correlationID: envelope.correlationID, causationID: envelope.id,
                timestamp: context.now, receivedAt: envelope.receivedAt, traceParent: envelope.traceParent,
                body: try WireJSON.encode(SendNotification(notification: id)))
            try await context.publish(OutgoingMessage(exchange: .commands, envelope: message))
        }
        return notices.isEmpty ? .ignored(reason: "nobody is told of \(envelope.type)") : .done
    }
}
