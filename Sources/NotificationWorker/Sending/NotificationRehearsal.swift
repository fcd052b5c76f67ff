import Domain
import Foundation
package import Messaging
import Persistence
package import WorkerRuntime

/// Does what the notification worker does, up to the mail server and no further. For shadow runs.
package struct NotificationRehearsal: MessageHandler {
    private let planning: NoticePlanning
    private let composer: MailComposer

    package init(planner: NoticePlanner, composer: MailComposer) {
        planning = NoticePlanning(planner: planner, mailDomain: composer.domain)
        self.composer = composer
    }

    package func handle(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome {
        guard envelope.type == .sendNotification else {
            return try await planning.plan(envelope, in: context)
        }
        let id = try WireJSON.decode(SendNotification.self, from: envelope.body).notification
        let claim = try await NotificationRepository.claim(
            id, by: context.worker, retriesFailed: true, in: context.transaction)
        switch claim {
        case .claimed(let claim):
            do {
                _ = try composer.mail(for: claim, at: context.now)
            } catch {
                return .deadLetter(code: "mail.invalid", detail: "\(error)")
            }
            return .done
        case .sent: return .ignored(reason: "sent before")
        case .superseded: return .ignored(reason: "a newer notice has gone to the same person")
        case .failed(let code, let detail): return .deadLetter(code: code, detail: detail)
        case .unknown: return .deadLetter(code: "notification.unknown", detail: "there is no notification \(id)")
        case .held: return .release(reason: "a worker is sending it now")
        case .behind: return .release(reason: "another notice of the same subject is on its way to the same person")
        }
    }
}
