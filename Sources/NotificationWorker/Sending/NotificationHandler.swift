import Domain
package import Foundation
import Logging
package import Messaging
import Metrics
import Persistence
package import Postgres
package import Transport
package import WorkerRuntime

/// Plans notices for events, and sends planned notices by mail: each to its recipient once.
///
/// Planning is one transaction: inbox row, one row for each (occasion, recipient), one outbox message
/// `notification.send` for each new row. Sending has three steps, because mail cannot be rolled back:
///
/// 1. claim the row (`sending`, by the name of this process's journal) and commit;
/// 2. hand the mail over, with its two points of no return recorded in the journal;
/// 3. finish the row and the inbox in one transaction.
///
/// A process that is killed in between leaves a claimed row. Whoever gets the message next reads the journal of the dead
/// process: accepted means sent, untouched means free to send, and handed over without an answer is the one ambiguous
/// instant, for which `AmbiguousMailPolicy` decides.
package struct NotificationHandler: EffectHandler {
    /// What is done with a mail that may or may not have been accepted.
    package enum AmbiguousMailPolicy: Sendable {
        /// Send it again under the same Message-ID.
        case resend
        /// Leave it to an operator.
        case hold
    }

    /// How long a claim counts whose journal cannot be read here. Longer than any send can take.
    static let claimLifetime: TimeInterval = 120

    private let planner: NoticePlanner
    private let composer: MailComposer
    private let smtp: SMTPClient
    private let journal: SendJournal
    private let policy: AmbiguousMailPolicy

    package init(
        planner: NoticePlanner, composer: MailComposer, smtp: SMTPClient, journal: SendJournal,
        policy: AmbiguousMailPolicy
    ) {
        self.planner = planner
        self.composer = composer
        self.smtp = smtp
        self.journal = journal
        self.policy = policy
    }

    package func handle(_ envelope: Envelope, in context: EffectContext) async throws -> Outcome {
        if envelope.type == .sendNotification { return try await send(envelope, in: context) }
        return try await plan(envelope, in: context)
    }

    // MARK: Planning

    private func plan(_ envelope: Envelope, in context: EffectContext) async throws -> Outcome {
        let notices = try planner.notices(of: envelope)
        let planned = try await context.pool.withTransaction { transaction -> Int? in
            guard try await Inbox.insert(consumer: context.role, messageID: envelope.id, in: transaction) else {
                return nil
            }
            var count = 0
            for notice in notices {
                let id = try await NotificationRepository.plan(
                    notice, mailDomain: composer.domain, receivedAt: envelope.receivedAt, in: transaction)
                guard let id else { continue }
                count += 1
                let message = Envelope(
                    id: MessageID.derived(from: envelope.id, MessageType.sendNotification.rawValue, id.rawValue),
                    type: .sendNotification, correlationID: envelope.correlationID, causationID: envelope.id,
                    timestamp: context.now(), receivedAt: envelope.receivedAt, traceParent: envelope.traceParent,
                    body: try WireJSON.encode(SendNotification(notification: id)))
                try await Outbox.insert(OutgoingMessage(exchange: .commands, envelope: message), in: transaction)
            }
            return count
        }
        guard let planned else { return .ignored(reason: "planned before") }
        if planned > 0 { context.relayOutbox() }
        return notices.isEmpty ? .ignored(reason: "nobody is told of \(envelope.type)") : .done
    }

    // MARK: Sending

    private func send(_ envelope: Envelope, in context: EffectContext) async throws -> Outcome {
        let command = try WireJSON.decode(SendNotification.self, from: envelope.body)
        let id = command.notification
        let result = try await claim(id, for: envelope, in: context)
        switch result {
        case .claimed(let claim): return try await deliver(claim, envelope, context)
        case .finished:
            try await settle(envelope, in: context)
            return .ignored(reason: "sent before")
        case .superseded:
            try await settle(envelope, in: context)
            return .ignored(reason: "a newer notice has gone to the same person")
        case .held(let holder, let since):
            return try await resolve(id, heldBy: holder, since: since, envelope, context)
        case .unknown:
            return .deadLetter(code: "notification.unknown", detail: "there is no notification \(id)")
        }
    }

    private func claim(
        _ id: NotificationID, for envelope: Envelope, in context: EffectContext
    ) async throws -> NotificationRepository.ClaimResult {
        try await context.pool.withTransaction { transaction in
            try await NotificationRepository.claim(
                id, by: journal.holder, at: context.now(), retriesFailed: envelope.replayCount > 0, in: transaction)
        }
    }

    private func deliver(
        _ claim: NotificationRepository.Claim, _ envelope: Envelope, _ context: EffectContext
    ) async throws -> Outcome {
        let mail: Mail
        do {
            mail = try composer.mail(for: claim, at: context.now())
        } catch {
            try await finish(claim.id, .failed(error: "\(error)"), context)
            return .deadLetter(code: "mail.invalid", detail: "\(error)")
        }
        do throws(SMTPError) {
            let receipt = try await smtp.send(mail, checkpoint: journal)
            return try await accepted(claim, reply: receipt.reply, envelope, context)
        } catch {
            return try await refused(claim, error, context)
        }
    }

    private func accepted(
        _ claim: NotificationRepository.Claim, reply: String, _ envelope: Envelope, _ context: EffectContext
    ) async throws(SMTPError) -> Outcome {
        let now = context.now()
        // The mail is out. Should the database be away now, the journal knows, and the next attempt finds it there.
        let isRecorded = await Self.recorded {
            try await context.pool.withTransaction { transaction in
                try await NotificationRepository.finish(
                    claim.id, heldBy: journal.holder, .sent(reply: reply, at: now), in: transaction)
                _ = try await Inbox.insert(consumer: context.role, messageID: envelope.id, in: transaction)
            }
        }
        guard isRecorded else { return .retry(code: "db.after_send", detail: "sent, and not yet recorded as sent") }
        journal.forget(messageID: claim.mailID)
        Counter(label: "notifications.sent", dimensions: [("template", claim.planned.template)]).increment()
        return .done
    }

    private static func recorded(_ body: () async throws -> Void) async -> Bool {
        do {
            try await body()
            return true
        } catch {
            return false
        }
    }

    private func refused(_ claim: NotificationRepository.Claim, _ error: SMTPError, _ context: EffectContext) async throws
        -> Outcome
    {
        let detail = error.description
        switch error.class {
        case .transient(let code):
            try await finish(claim.id, .postponed(error: detail), context)
            return .retry(code: "smtp.\(code)", detail: detail)
        case .permanent(let code):
            try await finish(claim.id, .failed(error: detail), context)
            return .deadLetter(code: "smtp.\(code)", detail: detail)
        case .configuration(let code):
            // Not this message's fault, and no other would fare better: it waits longer than a busy mailbox would.
            context.logger.error("the mail server refuses us: check SMTP_URL", metadata: ["error.code": "smtp.\(code)"])
            try await finish(claim.id, .postponed(error: detail), context)
            return .retry(code: "smtp.configuration", detail: detail, after: .seconds(120))
        case .ambiguous:
            return try await ambiguous(claim.id, mailID: claim.mailID, holder: journal.holder, context)
        case .cancelled:
            try await finish(claim.id, .postponed(error: "interrupted"), context)
            return .release(reason: "interrupted before the mail was complete")
        }
    }

    private func finish(_ id: NotificationID, _ ending: NotificationRepository.Ending, _ context: EffectContext) async throws {
        try await context.pool.withTransaction { transaction in
            try await NotificationRepository.finish(id, heldBy: journal.holder, ending, in: transaction)
        }
    }

    private func settle(_ envelope: Envelope, in context: EffectContext) async throws {
        try await context.pool.withTransaction { transaction in
            _ = try await Inbox.insert(consumer: context.role, messageID: envelope.id, in: transaction)
        }
    }

    // MARK: Claims of others

    /// Decides about a row that says somebody is sending it.
    private func resolve(
        _ id: NotificationID, heldBy holder: String, since: Date, _ envelope: Envelope, _ context: EffectContext
    ) async throws -> Outcome {
        if holder == journal.holder {
            // Our own, from before: sent and not recorded, or cut off by a failure of the database.
            return try await recover(id, holder: holder, envelope, context) { journal.progress(of: $0) }
        }
        switch journal.other(holder) {
        case .inUse:
            return .retry(code: "notification.held", detail: "another worker is sending it", after: .seconds(5))
        case .abandoned(let entries):
            return try await recover(id, holder: holder, envelope, context) { entries[$0] ?? .untouched }
        case .missing:
            guard context.now().timeIntervalSince(since) > Self.claimLifetime else {
                return .retry(
                    code: "notification.held", detail: "a worker elsewhere may be sending it", after: .seconds(30))
            }
            return try await recover(id, holder: holder, envelope, context) { _ in .handedOver }
        }
    }

    private func recover(
        _ id: NotificationID, holder: String, _ envelope: Envelope, _ context: EffectContext,
        progress: (String) -> SendJournal.Progress
    ) async throws -> Outcome {
        let mailID = try await context.pool.query(
            "select mail_id from notifications where id = \(id.rawValue)")[0].decode("mail_id", as: String.self)
        switch progress(mailID) {
        case .accepted(let reply):
            let now = context.now()
            try await context.pool.withTransaction { transaction in
                try await NotificationRepository.finish(
                    id, heldBy: holder, .sent(reply: "\(reply) (from the send journal)", at: now), in: transaction)
                _ = try await Inbox.insert(consumer: context.role, messageID: envelope.id, in: transaction)
            }
            journal.forget(messageID: mailID)
            return .done
        case .untouched:
            try await context.pool.withTransaction { transaction in
                try await NotificationRepository.finish(
                    id, heldBy: holder, .postponed(error: "the worker ended before the mail was sent"), in: transaction)
            }
            return try await send(envelope, in: context)
        case .handedOver:
            return try await ambiguous(id, mailID: mailID, holder: holder, context)
        }
    }

    private func ambiguous(
        _ id: NotificationID, mailID: String, holder: String, _ context: EffectContext
    ) async throws -> Outcome {
        let detail = "the mail was complete and no answer came; the server may have taken it"
        Counter(label: "notifications.ambiguous").increment()
        let ending: NotificationRepository.Ending =
            policy == .resend ? .postponedAmbiguously(error: detail) : .unknown(error: detail)
        try await context.pool.withTransaction { transaction in
            try await NotificationRepository.finish(id, heldBy: holder, ending, in: transaction)
        }
        journal.forget(messageID: mailID)
        return policy == .resend
            ? .retry(code: "smtp.ambiguous", detail: detail) : .deadLetter(code: "smtp.ambiguous", detail: detail)
    }

    // MARK: Start

    /// Records what dead processes of this host had sent before they could say so, and removes their journals.
    ///
    /// Called once when the worker starts; what it leaves open is settled when its message comes again.
    package func adoptAbandonedJournals(pool: PostgresPool, now: Date) async throws {
        for holder in journal.abandonedHolders() {
            guard case .abandoned(let entries) = journal.other(holder) else { continue }
            let isSettled = try await pool.withTransaction { transaction in
                var isSettled = true
                for (id, mailID) in try await NotificationRepository.held(by: holder, in: transaction) {
                    switch entries[mailID] ?? .untouched {
                    case .accepted(let reply):
                        try await NotificationRepository.finish(
                            id, heldBy: holder, .sent(reply: "\(reply) (from the send journal)", at: now),
                            in: transaction)
                    case .untouched:
                        try await NotificationRepository.finish(
                            id, heldBy: holder, .postponed(error: "the worker ended before the mail was sent"),
                            in: transaction)
                    case .handedOver:
                        isSettled = false
                    }
                }
                return isSettled
            }
            if isSettled { journal.remove(holder) }
        }
    }
}

/// The body of `notification.send`.
struct SendNotification: Codable {
    let notification: NotificationID
}
