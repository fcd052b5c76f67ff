import Domain
import Foundation
import Logging
import Messaging
import Metrics
import Persistence
import Postgres
import Synchronization
import Traces
import Transport
import WorkerRuntime

/// Sends planned notices. Mail cannot be rolled back, so this takes three steps:
///
/// 1. claim the row (`sending`, by the name of this process's journal) and commit;
/// 2. hand the mail over, with its two points of no return recorded in the journal;
/// 3. record the outcome in the row, and the inbox row with it, in one transaction.
///
/// A process that is killed in between leaves a claimed row. Whoever gets the message next reads the journal of the dead
/// process: accepted means sent, untouched means free to send, and handed over without an answer is the one ambiguous
/// instant, for which the policy decides.
struct NoticeSender: Sendable {
    let composer: MailComposer
    let smtp: SMTPClient
    let journal: SendJournal
    let policy: NotificationHandler.AmbiguousMailPolicy
    let claimLifetime: Duration
    let mailServer: Dependency
    private let inHand = InHand()

    init(
        composer: MailComposer, smtp: SMTPClient, journal: SendJournal,
        policy: NotificationHandler.AmbiguousMailPolicy, claimLifetime: Duration, mailServer: Dependency
    ) {
        self.composer = composer
        self.smtp = smtp
        self.journal = journal
        self.policy = policy
        self.claimLifetime = claimLifetime
        self.mailServer = mailServer
    }

    func send(_ envelope: Envelope, in context: EffectContext) async throws -> Outcome {
        let id = try WireJSON.decode(SendNotification.self, from: envelope.body).notification
        // Another copy of the message in this process: its claim looks like one that we left behind.
        guard inHand.take(id) else {
            return .release(reason: "a copy of the message is in hand")
        }
        defer { inHand.give(back: id) }
        guard let permit = mailServer.begin() else { return .release(reason: Self.serverAway) }
        // Counts only if nothing was learned of the server before.
        defer { mailServer.end(permit, .unknown) }
        while true {
            switch try await claim(id, for: envelope, in: context) {
            case .claimed(let claim):
                return try await deliver(claim, envelope, context, permit)
            case .sent(let mailID):
                journal.forget(messageID: mailID)
                return .ignored(reason: "sent before")
            case .superseded:
                return .ignored(reason: "a newer notice has gone to the same person")
            case .failed(let code, let detail):
                // The process died between the row and the dead letter, or the broker has two copies of one death.
                return .deadLetter(code: code, detail: detail)
            case .unknown:
                return .deadLetter(code: "notification.unknown", detail: "there is no notification \(id)")
            case .held(let held):
                guard let ending = lastWord(on: held, at: context.now()) else {
                    return .release(reason: "another worker is sending it")
                }
                // If nothing was recorded, somebody else has done so, and the next claim shows what.
                if try await record(ending, of: held, envelope, context), let outcome = outcome(of: ending) {
                    return outcome
                }
            case .behind(let other):
                guard try await settle(other, context) else {
                    return .release(reason: "another notice of the same subject is on its way to the same person")
                }
            }
        }
    }

    private func claim(
        _ id: NotificationID, for envelope: Envelope, in context: EffectContext
    ) async throws -> NotificationRepository.ClaimResult {
        try await context.pool.withTransaction { transaction in
            let result = try await NotificationRepository.claim(
                id, by: journal.holder, retriesFailed: envelope.replayCount > 0, in: transaction)
            switch result {
            case .sent, .superseded:
                _ = try await Inbox.insert(consumer: context.role, messageID: envelope.id, in: transaction)
            default: break
            }
            return result
        }
    }

    // MARK: Handing over

    private func deliver(
        _ claim: NotificationRepository.Claim, _ envelope: Envelope, _ context: EffectContext,
        _ permit: CircuitBreaker.Permit
    ) async throws -> Outcome {
        let ending: NotificationRepository.Ending
        var isServersFault = false
        let span = Span.begin(
            "smtp send", .client, parent: .current,
            ["neff.notification.id": .text(claim.id.rawValue), "neff.template": .text(claim.planned.template)])
        let start = ContinuousClock.now
        do {
            let mail = try composer.mail(
                for: claim, at: context.now(), correlationID: envelope.correlationID,
                traceParent: span.context?.traceParent)
            let receipt = try await smtp.send(mail, checkpoint: journal)
            mailServer.end(permit, .answered)
            ending = .sent(reply: receipt.reply, at: context.now())
        } catch let error as SMTPError {
            ending = self.ending(of: error, claim, at: context.now())
            let verdict = error.verdict(isShuttingDown: context.isShuttingDown())
            let mayGoOn = mailServer.end(permit, verdict, code: error.breakerCode)
            isServersFault = verdict == .failed && (error.isBeforeMessage || !mayGoOn)
            if case .configuration = error.class {
                context.logger.error("the mail server refuses us", metadata: ["error.detail": "\(error)"])
            }
        } catch {
            ending = .failed(code: "mail.invalid", error: "\(error)")
        }
        span.end(failure: ending.failureCode)
        let (seconds, attoseconds) = start.duration(to: .now).components
        Metrics.Timer(
            label: "smtp.send.duration", dimensions: [("outcome", ending.failureCode == nil ? "sent" : "failed")]
        )
        .recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
        if journal.isBroken {
            context.logger.error("the send journal cannot be written: see to NEFF_STATE_DIR and restart this worker")
        }
        let isRecorded = try await record(ending, of: claim.held(by: journal.holder), envelope, context)
        if case .sent = ending {
            Counter(label: "notifications.sent", dimensions: [("template", claim.planned.template)]).increment()
            let journey = max(0, context.now().timeIntervalSince(envelope.receivedAt))
            Metrics.Timer(label: "notifications.critical_time").recordNanoseconds(Int64(journey * 1e9))
        }
        if !isRecorded, outcome(of: ending) != nil {
            // Sent by somebody else meanwhile, and so it is. Whatever else became of this try, the row has another holder, who
            // answers for it.
            if case .sent = ending { return .done }
            return .release(reason: "another worker has taken it over")
        }
        // An attempt is spent on what may be the message's fault, and on nothing else.
        if isServersFault, case .postponed(_, _, isAmbiguous: false) = ending {
            return .release(reason: Self.serverAway)
        }
        // Postponed without an outcome: cancelled. The runtime knows whether by its time limit or by the drain.
        guard let outcome = outcome(of: ending) else { throw CancellationError() }
        return outcome
    }

    private func ending(
        of error: SMTPError, _ claim: NotificationRepository.Claim, at now: Date
    ) -> NotificationRepository.Ending {
        let detail = error.description
        return switch error.class {
        case .transient(let code): .postponed(code: "smtp.\(code)", error: detail)
        case .permanent(let code): .failed(code: "smtp.\(code)", error: detail)
        case .configuration: .postponed(code: Self.configurationCode, error: detail)
        case .ambiguous:
            // Cancelled after the answer had been read, it was accepted all the same.
            switch journal.progress(of: claim.mailID) {
            case .accepted(let reply): ending(of: .accepted(reply: reply), at: now)
            case .handedOver, .untouched: ending(of: .handedOver, at: now)
            }
        case .cancelled: .postponed(code: Self.interruptedCode, error: detail)
        }
    }

    // MARK: Endings

    private static let serverAway = "the mail server is away"
    private static let ambiguousCode = "smtp.ambiguous"
    private static let configurationCode = "smtp.configuration"
    private static let interruptedCode = "interrupted"

    /// What a mail's progress means for its row, when nothing else is known any more.
    private func ending(of progress: SendJournal.Progress, at now: Date) -> NotificationRepository.Ending {
        switch progress {
        case .accepted(let reply):
            return .sent(reply: "\(reply) (from the send journal)", at: now)
        case .untouched:
            return .postponed(code: Self.interruptedCode, error: "the worker ended before the mail was complete")
        case .handedOver:
            let detail = "the mail was complete and no answer came; the server may have taken it"
            return policy == .resend
                ? .postponed(code: Self.ambiguousCode, error: detail, isAmbiguous: true)
                : .unknown(code: Self.ambiguousCode, error: detail)
        }
    }

    /// What is to become of the message; nil if the sending was interrupted and nothing speaks against another try.
    private func outcome(of ending: NotificationRepository.Ending) -> Outcome? {
        switch ending {
        case .sent: .done
        case .postponed(Self.interruptedCode, _, _): nil
        // No other message would fare better, so it waits longer than for a busy mailbox.
        case .postponed(Self.configurationCode, let detail, _):
            .retry(code: Self.configurationCode, detail: detail, after: .seconds(120))
        case .postponed(let code, let detail, _): .retry(code: code, detail: detail)
        case .failed(let code, let detail), .unknown(let code, let detail): .deadLetter(code: code, detail: detail)
        }
    }

    /// Writes the outcome and, for a sent mail, the receipt of its message.
    ///
    /// - Parameter envelope: the notice's message; nil if it is not here.
    /// - Returns: whether the row has changed; it does not if it is no longer the holder's.
    /// - Throws: `PostgresError`; the row stays `sending`, and the journal knows what became of the mail.
    private func record(
        _ ending: NotificationRepository.Ending, of held: NotificationRepository.Held, _ envelope: Envelope?,
        _ context: EffectContext
    ) async throws -> Bool {
        // Unstructured, so that neither the time limit nor the drain's deadline cuts it off: what happened has happened,
        // and the pool's own time limits bound the wait.
        let isRecorded = try await Task {
            try await context.pool.withTransaction { transaction in
                let isRecorded = try await NotificationRepository.finish(held, ending, in: transaction)
                if case .sent = ending, let envelope {
                    try await transaction.enqueue(Inbox.claim(consumer: context.role, messageID: envelope.id))
                }
                return isRecorded
            }
        }.value
        if isRecorded { count(ending) }
        journal.forget(messageID: held.mailID)
        return isRecorded
    }

    private func count(_ ending: NotificationRepository.Ending) {
        switch ending {
        case .postponed(_, _, isAmbiguous: true), .unknown: Counter(label: "notifications.ambiguous").increment()
        default: break
        }
    }

    // MARK: Claims of others

    /// What became of a mail whose row says that somebody is sending it; nil while somebody may be.
    private func lastWord(on held: NotificationRepository.Held, at now: Date) -> NotificationRepository.Ending? {
        // Our own, from before: the database was away when the outcome was to be recorded.
        if held.holder == journal.holder { return ending(of: journal.progress(of: held.mailID), at: now) }
        switch journal.other(held.holder) {
        case .inUse: return nil
        case .abandoned(let entries): return ending(of: entries[held.mailID] ?? .untouched, at: now)
        case .missing: return held.age > claimLifetime ? ending(of: .handedOver, at: now) : nil
        }
    }

    /// Records what became of another notice, whose message somebody else may have or nobody.
    ///
    /// - Returns: false while it is being sent.
    private func settle(_ other: NotificationRepository.Held, _ context: EffectContext) async throws -> Bool {
        guard inHand.take(other.id) else { return false }
        defer { inHand.give(back: other.id) }
        guard let ending = lastWord(on: other, at: context.now()) else { return false }
        _ = try await record(ending, of: other, nil, context)
        return true
    }

    /// Settles what dead processes of this host had in hand, and removes their journals.
    func adoptAbandonedJournals(pool: PostgresPool, now: Date) async throws {
        for (holder, entries) in journal.abandoned() {
            let endings = try await pool.withTransaction { transaction in
                var endings: [NotificationRepository.Ending] = []
                for held in try await NotificationRepository.held(by: holder, in: transaction) {
                    let ending = ending(of: entries[held.mailID] ?? .untouched, at: now)
                    if try await NotificationRepository.finish(held, ending, in: transaction) { endings.append(ending) }
                }
                return endings
            }
            for ending in endings { count(ending) }
            journal.remove(holder)
        }
    }
}

extension NotificationRepository.Ending {
    /// Nil for a mail that was sent.
    fileprivate var failureCode: String? {
        switch self {
        case .sent: nil
        case .postponed(let code, _, _), .failed(let code, _), .unknown(let code, _): code
        }
    }
}

/// The notices that this process is sending now.
private final class InHand: Sendable {
    private let ids = Mutex<Set<NotificationID>>([])

    /// False if it is being sent already.
    func take(_ id: NotificationID) -> Bool { ids.withLock { $0.insert(id).inserted } }

    func give(back id: NotificationID) { ids.withLock { _ = $0.remove(id) } }
}
