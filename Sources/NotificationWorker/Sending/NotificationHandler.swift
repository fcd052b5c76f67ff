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
/// Planning is rows: one for each (occasion, recipient), and one outbox message `notification.send` for each new one.
/// `NoticeSender` does the sending.
package struct NotificationHandler: MixedHandler {
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

    package func hasOutsideEffect(_ envelope: Envelope) -> Bool {
        envelope.type == .sendNotification
    }

    package func handle(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome {
        try await planning.plan(envelope, in: context)
    }

    package func handle(_ envelope: Envelope, in context: EffectContext) async throws -> Outcome {
        try await sender.send(envelope, in: context)
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
