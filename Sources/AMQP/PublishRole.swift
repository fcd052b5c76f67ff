import CRabbitMQ
import Metrics

/// The publishing side of a connection: writes what the intake has gathered, and matches the broker's answers.
final class PublishRole: Role {
    /// How many publishes are written before input is looked at again.
    private static let publishesPerTurn = 128
    /// How far the newest publish may be ahead of the oldest unanswered one: places are kept for all in between.
    private static let maxSpan = 200_000

    private let intake: Intake
    private let window: Int
    private let metrics: PublishMetrics
    private var unsent = FIFO<Intake.Admitted>()
    private var confirms = ConfirmWindow<Intake.Admitted>()
    private var assembler = ContentAssembler()
    private var blockedReason: String?
    private var stopCause: AMQPError?
    private(set) var isWaitingToWrite = false

    init(intake: Intake, window: Int, connectionName: String) {
        self.intake = intake
        self.window = window
        metrics = PublishMetrics(connectionName: connectionName)
    }

    var health: ConnectionState { blockedReason.map(ConnectionState.blocked(reason:)) ?? .connected }
    var isIdle: Bool { confirms.waiting == 0 && unsent.isEmpty && intake.live == 0 }

    func opened(_ link: Link, epoch: UInt64) throws(AMQPError) {
        try link.selectConfirms()
        blockedReason = nil
        if stopCause == nil { intake.open() }
    }

    // MARK: Writing

    func flush(_ link: Link) throws(AMQPError) -> Bool {
        isWaitingToWrite = false
        unsent.append(contentsOf: intake.take())
        guard !unsent.isEmpty else { return false }
        if blockedReason != nil {
            failUnsent(AMQPError(.refused, "the broker blocks publishing: \(blockedReason ?? "")"))
            return false
        }
        // The library must not find its receive heartbeat overdue within a publish; see SocketGuard.
        try link.checkSilence()

        let isCorked = unsent.count > 1 || (unsent.first?.ticket.publication.body.count ?? 0) >= link.frameMax - 8
        if isCorked { link.socket.cork(true) }
        defer { if isCorked { link.socket.cork(false) } }
        var written = 0
        var hasFreedRoom = false
        while let next = unsent.first {
            if written == Self.publishesPerTurn { return true }
            // While the broker holds us back by not reading, publishes wait here, not inside the library.
            if written.isMultiple(of: 8), !link.isWritable {
                isWaitingToWrite = true
                return false
            }
            _ = unsent.popFirst()
            if next.ticket.outcome.isGiven {
                intake.release(1)
                hasFreedRoom = true
                continue
            }
            let publication = next.ticket.publication
            // Checked against the size we ask for before; the broker may have granted less.
            if link.frameMax < Link.frameMax,
                let objection = WireSize.objection(to: publication, frameMax: link.frameMax)
            {
                // Before the answer, so that who has it finds the place free.
                intake.release(1)
                next.ticket.outcome.give(.failure(PublishError(.invalid(reason: objection))))
                hasFreedRoom = true
                continue
            }
            // Noted first: if writing fails midway, it counts as sent.
            confirms.send(next)
            try link.publish(publication, deadline: next.deadline)
            written += 1
        }
        // Somebody who waited for room may have got it, and wakes nobody by that.
        return hasFreedRoom
    }

    // MARK: The broker's answers

    func received(_ incoming: Incoming, on link: Link) throws(AMQPError) {
        switch incoming {
        case .acknowledge(let tag, let multiple):
            try settle(tag, multiple: multiple, isRefused: false)
        case .refuse(let tag, let multiple):
            try settle(tag, multiple: multiple, isRefused: true)
        case .blocked(let reason):
            blockedReason = reason
            let cause = AMQPError(.refused, "the broker blocks publishing: \(reason)")
            intake.close(cause)
            failUnsent(cause)
        case .unblocked:
            blockedReason = nil
            if stopCause == nil { intake.open() }
        case .channelClosed(let code, let text):
            try reopen(link, AMQPError(replyCode: code, text: text, of: .channel))
        default:
            if let content = try assembler.accept(incoming) { markReturned(content) }
        }
    }

    private func settle(_ tag: UInt64, multiple: Bool, isRefused: Bool) throws(AMQPError) {
        var settled = 0
        let now = ContinuousClock.now
        let isKnown = confirms.settle(tag, multiple: multiple, isRefused: isRefused) { admitted, outcome in
            settled += 1
            resolve(admitted, outcome, now)
        }
        intake.release(settled)
        guard isKnown else { throw AMQPError(.protocolViolation, "a confirm for the unknown delivery tag \(tag)") }
    }

    private func resolve(
        _ admitted: Intake.Admitted, _ outcome: ConfirmWindow<Intake.Admitted>.Outcome, _ now: ContinuousClock.Instant
    ) {
        let ticket = admitted.ticket
        switch outcome {
        case .confirmed:
            if ticket.outcome.give(.success(())) { metrics.confirmed(after: now - ticket.started) }
        case .returned(let code, let text):
            metrics.returned.increment()
            ticket.outcome.give(.failure(PublishError(.returned(replyCode: code, replyText: text))))
        case .refused:
            metrics.refused.increment()
            ticket.outcome.give(.failure(PublishError(.refused)))
        }
    }

    /// A returned message carries no tag. It is the oldest unanswered publish with the same content, given up on or not;
    /// only if none has exactly the same (a header may have been rewritten on the way) is one with the same address taken.
    private func markReturned(_ content: ContentAssembler.Content) {
        guard case .returned(let code, let text, let exchange, let routingKey) = content.method else { return }
        func isSameAddress(_ publication: Publication) -> Bool {
            publication.isMandatory && publication.routingKey == routingKey && publication.exchange == exchange
        }
        let isFound = confirms.markReturned(replyCode: code, replyText: text) { admitted in
            let publication = admitted.ticket.publication
            return isSameAddress(publication) && publication.properties == content.properties
                && publication.body == content.body
        }
        if isFound { return }
        _ = confirms.markReturned(replyCode: code, replyText: text) { admitted in
            let publication = admitted.ticket.publication
            return isSameAddress(publication) && publication.properties.messageID == content.properties.messageID
                && publication.body.count == content.body.count
        }
    }

    /// The broker closed the channel, for example because an exchange does not exist. The connection can be kept; what
    /// was under way on the channel has lost its confirms.
    private func reopen(_ link: Link, _ error: AMQPError) throws(AMQPError) {
        try link.confirmChannelClosed()
        assembler = ContentAssembler()
        failSent(error)
        try link.openChannel()
        try link.selectConfirms()
    }

    // MARK: Deadlines

    var nextDeadline: ContinuousClock.Instant? { (confirms.oldest ?? unsent.first)?.deadline }

    func expire(_ link: Link, now: ContinuousClock.Instant) throws(AMQPError) {
        let overdue = confirms.abandon { $0.deadline <= now }
        for admitted in overdue { giveUp(admitted, .unknown, AMQPError(.timedOut, "no confirm in time")) }
        var released = overdue.count
        while let next = unsent.first, next.deadline <= now {
            _ = unsent.popFirst()
            released += 1
            giveUp(next, .unavailable, AMQPError(.timedOut, "the broker reads too slowly"))
        }
        intake.release(released)
        if confirms.abandoned >= window || confirms.span > Self.maxSpan {
            throw AMQPError(.timedOut, "the broker leaves publishes unanswered; connecting anew")
        }
    }

    // MARK: The end

    func lost(_ error: AMQPError) {
        blockedReason = nil
        isWaitingToWrite = false
        assembler = ContentAssembler()
        intake.close(stopCause ?? error)
        failUnsent(error)
        failSent(error)
    }

    func prepareToStop(_ link: Link?) throws(AMQPError) {
        let cause = AMQPError(.closed, "shutting down")
        stopCause = cause
        intake.close(cause)
    }

    func finished(_ error: AMQPError) {
        stopCause = error
        intake.close(error)
        failUnsent(error)
    }

    private func failUnsent(_ error: AMQPError) {
        unsent.append(contentsOf: intake.take())
        let failed = unsent.removeAll()
        for admitted in failed { giveUp(admitted, .unavailable, error) }
        intake.release(failed.count)
    }

    private func failSent(_ error: AMQPError) {
        var failed = 0
        confirms.reset { admitted in
            failed += 1
            giveUp(admitted, .unknown, error)
        }
        intake.release(failed)
    }

    private func giveUp(_ admitted: Intake.Admitted, _ kind: PublishError.Kind, _ error: AMQPError) {
        if admitted.ticket.outcome.give(.failure(PublishError(kind, underlying: error))) {
            (kind == .unknown ? metrics.unknown : metrics.unavailable).increment()
        }
    }
}

/// `amqp.publish` (outcome) and `amqp.confirm.duration` (seconds).
struct PublishMetrics {
    private let confirmed: Counter
    private let duration: Metrics.Timer
    let returned: Counter
    let refused: Counter
    let unknown: Counter
    let unavailable: Counter

    init(connectionName: String) {
        func counter(_ outcome: String) -> Counter {
            Counter(label: "amqp.publish", dimensions: [("connection", connectionName), ("outcome", outcome)])
        }
        confirmed = counter("confirmed")
        returned = counter("returned")
        refused = counter("refused")
        unknown = counter("unknown")
        unavailable = counter("unavailable")
        duration = Timer(label: "amqp.confirm.duration", dimensions: [("connection", connectionName)])
    }

    func confirmed(after elapsed: Duration) {
        confirmed.increment()
        duration.record(duration: elapsed)
    }
}
