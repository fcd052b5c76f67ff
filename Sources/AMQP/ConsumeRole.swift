import CRabbitMQ
import Logging
import Metrics

/// The consuming side of a connection: subscribes, hands deliveries to the inbox, and settles them.
final class ConsumeRole: Role {
    private struct Place {
        let subscription: Subscription
        var intake = Subscription.Intake.full
        /// Set while the broker serves the subscription.
        var consumerTag: String?
        var failures = 0
        var lastError: AMQPError?
        /// When to subscribe again, while it does not.
        var retryAt: ContinuousClock.Instant?
    }

    private let inbox: Inbox
    private let backoff: Backoff
    private let connectionName: String
    private let logger: Logger
    private let metrics: ConsumeMetrics
    private var places: [Place]
    private var queues: [String: String] = [:]
    private var epoch: UInt64 = 0
    private var lastTag = 0
    private var ledger = SettlementLedger()
    private var assembler = ContentAssembler()
    private var fresh: [Delivery] = []
    private var isStopping = false

    init(
        inbox: Inbox, subscriptions: [Subscription], backoff: Backoff, connectionName: String, logger: Logger
    ) {
        self.inbox = inbox
        self.backoff = backoff
        self.connectionName = connectionName
        self.logger = logger
        places = subscriptions.map { Place(subscription: $0) }
        metrics = ConsumeMetrics(connectionName: connectionName, queues: subscriptions.map(\.queue))
    }

    var isWaitingToWrite: Bool { false }
    var isIdle: Bool { ledger.unsettled == 0 && !ledger.hasPending }

    var health: ConnectionState {
        guard !isStopping, let missing = places.first(where: { $0.consumerTag == nil && $0.intake != .none }) else {
            return .connected
        }
        return .degraded(
            missing.lastError ?? AMQPError(.consumerCancelled, "no consumer on \(missing.subscription.queue)"))
    }

    // MARK: Subscribing

    func opened(_ link: Link, epoch: UInt64) throws(AMQPError) {
        self.epoch = epoch
        for index in places.indices { places[index].retryAt = nil }
        guard !isStopping else { return }
        for index in places.indices where places[index].intake != .none { try subscribe(index, link) }
    }

    /// Cancels, and subscribes anew, where the intake is to be another one. Unsettled deliveries stay as they are.
    func setIntake(_ intake: [String: Subscription.Intake], _ link: Link?) throws(AMQPError) {
        for index in places.indices {
            let wanted = intake[places[index].subscription.queue] ?? .full
            guard places[index].intake != wanted else { continue }
            places[index].intake = wanted
            places[index].retryAt = nil
            guard !isStopping, let link else { continue }
            if let tag = places[index].consumerTag.take() { try cancel(tag, link) }
            if wanted != .none { try subscribe(index, link) }
        }
    }

    /// Subscribes if the queue exists, and else plans the next attempt.
    ///
    /// Consuming from a queue that does not exist costs the channel and every unsettled delivery on it, so the question
    /// goes through a channel of its own.
    private func subscribe(_ index: Int, _ link: Link) throws(AMQPError) {
        let subscription = places[index].subscription
        if let error = try probe(subscription.queue, link) {
            miss(index, error)
            return
        }
        let prefetch = places[index].intake == .single ? 1 : subscription.prefetch
        lastTag += 1
        let wantedTag = "\(connectionName.prefix(64))-\(epoch)-\(lastTag)"
        try link.call(
            AMQP_BASIC_QOS_METHOD, AMQP_BASIC_QOS_OK_METHOD
        ) { _ in
            // Without `global` it holds for each consumer started after it; quorum queues refuse the other kind.
            amqp_basic_qos_t(prefetch_size: 0, prefetch_count: prefetch, global: 0)
        }
        let tag = try link.call(
            AMQP_BASIC_CONSUME_METHOD, AMQP_BASIC_CONSUME_OK_METHOD
        ) { arena in
            amqp_basic_consume_t(
                ticket: 0, queue: arena.bytes(subscription.queue), consumer_tag: arena.bytes(wantedTag),
                no_local: 0, no_ack: 0, exclusive: 0, nowait: 0,
                arguments: arena.table(
                    subscription.priority == 0 ? [:] : ["x-priority": .int32(subscription.priority)]))
        } read: { (reply: amqp_basic_consume_ok_t) in
            String(reply.consumer_tag)
        }
        places[index].consumerTag = tag
        places[index].failures = 0
        places[index].lastError = nil
        places[index].retryAt = nil
        queues[tag] = subscription.queue
    }

    /// Why the queue cannot be consumed from; nil if it can.
    private func probe(_ queue: String, _ link: Link) throws(AMQPError) -> AMQPError? {
        try link.openChannel(Link.probingChannel)
        do throws(AMQPError) {
            try link.call(
                AMQP_QUEUE_DECLARE_METHOD, AMQP_QUEUE_DECLARE_OK_METHOD,
                on: Link.probingChannel
            ) { arena in
                amqp_queue_declare_t(
                    ticket: 0, queue: arena.bytes(queue), passive: 1, durable: 0, exclusive: 0, auto_delete: 0,
                    nowait: 0, arguments: amqp_empty_table)
            }
        } catch {
            if link.isBroken { throw error }
            return error
        }
        try link.closeChannel(Link.probingChannel)
        return nil
    }

    private func miss(_ index: Int, _ error: AMQPError) {
        let queue = places[index].subscription.queue
        places[index].consumerTag = nil
        places[index].failures += 1
        places[index].lastError = error
        let delay = backoff.delay(places[index].failures)
        places[index].retryAt = .now + delay
        logger.info(
            "not subscribed",
            metadata: [LogKey.queue: "\(queue)", LogKey.error: "\(error)", LogKey.retryIn: "\(delay)"])
    }

    var nextDeadline: ContinuousClock.Instant? { places.compactMap(\.retryAt).min() }

    func expire(_ link: Link, now: ContinuousClock.Instant) throws(AMQPError) {
        guard !isStopping else { return }
        for index in places.indices {
            if let retryAt = places[index].retryAt, retryAt <= now { try subscribe(index, link) }
        }
    }

    // MARK: Deliveries

    func received(_ incoming: Incoming, on link: Link) throws(AMQPError) {
        switch incoming {
        case .cancel(let tag):
            guard let index = places.firstIndex(where: { $0.consumerTag == tag }) else { return }
            let queue = places[index].subscription.queue
            metrics.cancelled.increment()
            miss(
                index,
                AMQPError(.consumerCancelled, "the broker ended the consumer of \(queue); was the queue deleted?"))
        case .channelClosed(let code, let text):
            // Among the reasons: a delivery unsettled for longer than the broker's consumer_timeout (406).
            throw AMQPError(replyCode: code, text: text, of: .channel)
        default:
            if let content = try assembler.accept(incoming) { try deliver(content) }
        }
    }

    private func deliver(_ content: ContentAssembler.Content) throws(AMQPError) {
        guard
            case .deliver(let consumerTag, let deliveryTag, let isRedelivered, let exchange, let routingKey) =
                content.method
        else { return }
        guard ledger.deliver(deliveryTag) else {
            throw AMQPError(.protocolViolation, "delivery tag \(deliveryTag) is out of order")
        }
        guard let queue = queues[consumerTag] else {
            throw AMQPError(.protocolViolation, "a delivery for an unknown consumer")
        }
        metrics.deliveries[queue]?.increment()
        fresh.append(
            Delivery(
                queue: queue, consumerTag: consumerTag, deliveryTag: deliveryTag, epoch: epoch,
                isRedelivered: isRedelivered, exchange: exchange, routingKey: routingKey,
                properties: content.properties, body: content.body))
    }

    // MARK: Settling

    func flush(_ link: Link) throws(AMQPError) -> Bool {
        handOut()
        for settlement in inbox.takeSettlements() where settlement.epoch == epoch {
            if ledger.settle(settlement.tag, settlement.kind) {
                metrics.count(settlement.kind)
            } else {
                logger.info("settled twice", metadata: [LogKey.deliveryTag: "\(settlement.tag)"])
            }
        }
        guard ledger.hasPending else { return false }
        let commands = ledger.flush()
        let isCorked = commands.count > 1
        if isCorked { link.socket.cork(true) }
        defer { if isCorked { link.socket.cork(false) } }
        for command in commands {
            switch command {
            case .acknowledge(let tag, let multiple): try link.acknowledge(tag, multiple: multiple)
            case .reject(let tag): try link.reject(tag)
            case .requeue(let tag): try link.requeue(tag)
            }
        }
        return false
    }

    /// Passes on what this turn has brought.
    func handOut() {
        guard !fresh.isEmpty else { return }
        inbox.offer(fresh)
        fresh.removeAll(keepingCapacity: true)
    }

    // MARK: The end

    /// Ends all subscriptions. Deliveries that came before the broker's answers are still to be read.
    func cancelAll(_ link: Link?) throws(AMQPError) {
        isStopping = true
        for index in places.indices {
            places[index].retryAt = nil
            guard let tag = places[index].consumerTag.take(), let link else { continue }
            try cancel(tag, link)
        }
    }

    private func cancel(_ tag: String, _ link: Link) throws(AMQPError) {
        try link.call(
            AMQP_BASIC_CANCEL_METHOD, AMQP_BASIC_CANCEL_OK_METHOD
        ) { arena in amqp_basic_cancel_t(consumer_tag: arena.bytes(tag), nowait: 0) }
    }

    /// Closing the channel ends the subscriptions too, so nothing is said to the broker here.
    func prepareToStop(_ link: Link?) throws(AMQPError) {
        isStopping = true
    }

    func lost(_ error: AMQPError) {
        for index in places.indices {
            places[index].consumerTag = nil
            places[index].retryAt = nil
        }
        queues = [:]
        ledger = SettlementLedger()
        assembler = ContentAssembler()
        fresh = []
        inbox.drop()
        if isStopping { inbox.finish() }
    }

    func finished(_ error: AMQPError) {
        inbox.finish()
    }
}

extension Engine<ConsumeRole> {
    /// Cancels all subscriptions and passes on everything that came before the broker's answers.
    func stopTaking() {
        // If this fails the connection is lost, and with it what was to be taken; the next turn says so.
        try? perform { (role, link) throws(AMQPError) in try role.cancelAll(link) }
        role.handOut()
        role.closeInbox()
    }

    /// Changes how much is taken, on this connection and on those to come.
    func setIntake(_ intake: [String: Subscription.Intake]) {
        // If this fails the connection is lost, and the next one subscribes as is wanted now.
        try? perform { (role, link) throws(AMQPError) in try role.setIntake(intake, link) }
        role.handOut()
    }
}

extension ConsumeRole {
    func closeInbox() { inbox.finish() }
}

/// `amqp.deliveries` (queue), `amqp.settlements` (outcome), `amqp.consumers.cancelled`.
struct ConsumeMetrics {
    let deliveries: [String: Counter]
    let cancelled: Counter
    private let acknowledged: Counter
    private let rejected: Counter
    private let requeued: Counter

    init(connectionName: String, queues: [String]) {
        deliveries = Dictionary(
            queues.map { ($0, Counter(label: "amqp.deliveries", dimensions: [("queue", $0)])) },
            uniquingKeysWith: { first, _ in first })
        func counter(_ outcome: String) -> Counter {
            Counter(label: "amqp.settlements", dimensions: [("connection", connectionName), ("outcome", outcome)])
        }
        acknowledged = counter("acknowledged")
        rejected = counter("rejected")
        requeued = counter("requeued")
        cancelled = Counter(label: "amqp.consumers.cancelled", dimensions: [("connection", connectionName)])
    }

    func count(_ settlement: SettlementLedger.Settlement) {
        switch settlement {
        case .acknowledge: acknowledged.increment()
        case .reject: rejected.increment()
        case .requeue: requeued.increment()
        }
    }
}
