import Domain
package import Foundation
package import Messaging
import Persistence
package import Postgres
import Traces
package import Transport
package import WorkerRuntime

/// Plans notices for events, and sends planned notices by mail: each to its recipient once.
///
/// Planning is one transaction: inbox row, one row for each (occasion, recipient), one outbox message
/// `notification.send` for each new row. `NoticeSender` does the sending.
package struct NotificationHandler: EffectHandler {
    /// What is done with a mail that may or may not have been accepted.
    package enum AmbiguousMailPolicy: Sendable {
        /// Send it again under the same Message-ID.
        case resend
        /// Leave it to an operator.
        case hold
    }

    private let planning: NoticePlanning
    private let sender: NoticeSender

    /// - Parameters:
    ///   - claimLifetime: how long a claim counts whose journal cannot be read here; longer than the handler's time limit,
    ///     which ends every send.
    ///   - mailServer: the breaker of what `smtp` talks to. While it is open, nothing is sent and no attempt is spent.
    package init(
        planner: NoticePlanner, composer: MailComposer, smtp: SMTPClient, journal: SendJournal,
        policy: AmbiguousMailPolicy, claimLifetime: Duration = .seconds(120), mailServer: Dependency
    ) {
        planning = NoticePlanning(planner: planner, mailDomain: composer.domain)
        sender = NoticeSender(
            composer: composer, smtp: smtp, journal: journal, policy: policy, claimLifetime: claimLifetime,
            mailServer: mailServer)
    }

    package func handle(_ envelope: Envelope, in context: EffectContext) async throws -> Outcome {
        if envelope.type == .sendNotification { return try await sender.send(envelope, in: context) }
        return try await plan(envelope, in: context)
    }

    private func plan(_ envelope: Envelope, in context: EffectContext) async throws -> Outcome {
        let result = try await context.pool.withTransaction { transaction -> (planned: Int, notices: Int)? in
            guard try await Inbox.insert(consumer: context.role, messageID: envelope.id, in: transaction) else {
                return nil
            }
            return try await planning.plan(envelope, at: context.now(), in: transaction)
        }
        guard let result else { return .ignored(reason: "planned before") }
        if result.planned > 0 { context.relayOutbox() }
        return result.notices == 0 ? .ignored(reason: "nobody is told of \(envelope.type)") : .done
    }

    /// Settles what dead processes of this host had in hand, and removes their journals.
    ///
    /// Called once when the worker starts, so that mail that was sent is known as sent without waiting for its message.
    /// - Throws: `PostgresError`; the journals of which nothing was settled stay.
    package func adoptAbandonedJournals(pool: PostgresPool, now: Date) async throws {
        try await sender.adoptAbandonedJournals(pool: pool, now: now)
    }
}

/// The body of `notification.send`.
struct SendNotification: Codable {
    let notification: NotificationID
}
