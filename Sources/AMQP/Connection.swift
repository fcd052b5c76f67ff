import CRabbitMQ
package import Logging
import OwnerThread

/// A connection with one channel, for topology and tools.
///
/// Each call is a request that blocks the connection's own thread until the broker answers, at most `rpcTimeout`. It does
/// not reconnect: after `connectionLost`, `peerSilent`, `timedOut`, `closedByBroker` or `protocolViolation` open another.
/// An error reply of the broker (`notFound`, `preconditionFailed`, ...) costs the broker's channel but not this
/// connection: the channel is opened again at the next call.
package actor Connection {
    package enum ExchangeKind: String, Sendable { case direct, fanout, topic, headers }

    /// What a queue held when it was asked.
    package struct QueueStatus: Sendable, Hashable {
        package let name: String
        /// Ready messages, without those delivered and unsettled.
        package let messageCount: Int
        package let consumerCount: Int
    }

    private let thread: OwnerThread
    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let logger: Logger
    private var link: Link?
    private var lastError = AMQPError(.closed, "the connection is not open")
    private var isChannelOpen = false
    private var isConfirming = false
    private var epoch: UInt64 = 0
    private var assembler = ContentAssembler()
    private var confirms = ConfirmWindow<Publication>()
    private var tick: OwnerThread.TimerID?

    private init(logger: Logger) {
        thread = OwnerThread(name: "amqp-connection")
        self.logger = logger
    }

    isolated deinit {
        thread.stop()
    }

    // MARK: Life

    /// Connects and logs in.
    ///
    /// - Throws: `unreachable`, `tls`, `tlsNameMismatch`, `authenticationRefused`, `virtualHostRefused`, `invalidArgument`.
    package static func open(_ configuration: AMQPConfiguration, logger: Logger) async throws(AMQPError) -> Connection {
        let connection = Connection(logger: logger)
        try await connection.open(configuration)
        return connection
    }

    private func open(_ configuration: AMQPConfiguration) throws(AMQPError) {
        let link = try Link.open(configuration)
        self.link = link
        isChannelOpen = true
        epoch = 1
        scheduleTick(link.heartbeat / 4)
    }

    /// Closes politely, in at most `limit`. What was got and not settled goes back to its queue.
    package func close(within limit: Duration = .seconds(5)) {
        link?.close(within: limit)
        drop(AMQPError(.closed, "the connection was closed"))
    }

    private func drop(_ error: AMQPError) {
        if let tick { thread.cancel(tick) }
        tick = nil
        link = nil
        lastError = error
    }

    /// Heartbeats go on between the calls.
    private func scheduleTick(_ interval: Duration) {
        tick = thread.schedule(after: interval) { [weak self] in
            self?.assumeIsolated { connection in
                do throws(AMQPError) {
                    guard let link = connection.link else { return }
                    try link.checkSilence()
                    while let incoming = try link.next() { try connection.handle(incoming) }
                    connection.scheduleTick(interval)
                } catch {
                    connection.logger.info("connection or channel lost", metadata: [LogKey.error: "\(error)"])
                    _ = connection.note(error)
                    if connection.link != nil { connection.scheduleTick(interval) }
                }
            }
        }
    }

    // MARK: Exchanges

    /// Creates an exchange; nothing happens if it exists like that.
    ///
    /// - Throws: `preconditionFailed` if it exists otherwise, `accessRefused`.
    package func declareExchange(
        _ name: String, kind: ExchangeKind, isDurable: Bool = true, isAutoDelete: Bool = false,
        isInternal: Bool = false, arguments: FieldTable = [:]
    ) throws(AMQPError) {
        try check([name], arguments)
        try declareExchange(
            name, kind: kind.rawValue, passive: 0, isDurable: isDurable, isAutoDelete: isAutoDelete,
            isInternal: isInternal, arguments: arguments)
    }

    /// Asks whether an exchange exists (a passive declare).
    ///
    /// - Throws: `notFound`.
    package func checkExchange(_ name: String) throws(AMQPError) {
        try check([name], [:])
        try declareExchange(
            name, kind: "direct", passive: 1, isDurable: false, isAutoDelete: false, isInternal: false, arguments: [:])
    }

    private func declareExchange(
        _ name: String, kind: String, passive: amqp_boolean_t, isDurable: Bool, isAutoDelete: Bool, isInternal: Bool,
        arguments: FieldTable
    ) throws(AMQPError) {
        try call(
            AMQP_EXCHANGE_DECLARE_METHOD, AMQP_EXCHANGE_DECLARE_OK_METHOD, as: amqp_exchange_declare_ok_t.self,
            request: { arena in
                amqp_exchange_declare_t(
                    ticket: 0, exchange: arena.bytes(name), type: arena.bytes(kind), passive: passive,
                    durable: isDurable ? 1 : 0, auto_delete: isAutoDelete ? 1 : 0, internal: isInternal ? 1 : 0,
                    nowait: 0, arguments: arena.table(arguments))
            }, read: { _ in })
    }

    /// Deletes an exchange; nothing happens if there is none.
    package func deleteExchange(_ name: String, ifUnused: Bool = false) throws(AMQPError) {
        try check([name], [:])
        try call(
            AMQP_EXCHANGE_DELETE_METHOD, AMQP_EXCHANGE_DELETE_OK_METHOD, as: amqp_exchange_delete_ok_t.self,
            request: { arena in
                amqp_exchange_delete_t(ticket: 0, exchange: arena.bytes(name), if_unused: ifUnused ? 1 : 0, nowait: 0)
            }, read: { _ in })
    }

    // MARK: Queues

    /// Creates a queue; nothing happens if it exists like that. An empty name lets the broker choose one.
    ///
    /// RabbitMQ 3.10 takes arguments that it does not know without a word.
    ///
    /// - Throws: `preconditionFailed` if it exists with other arguments, `resourceLocked`, `accessRefused`.
    @discardableResult
    package func declareQueue(
        _ name: String, isDurable: Bool = true, isExclusive: Bool = false, isAutoDelete: Bool = false,
        arguments: FieldTable = [:]
    ) throws(AMQPError) -> QueueStatus {
        try declareQueue(
            name, passive: 0, isDurable: isDurable, isExclusive: isExclusive, isAutoDelete: isAutoDelete,
            arguments: arguments)
    }

    /// Asks for a queue (a passive declare).
    ///
    /// - Throws: `notFound`.
    @discardableResult
    package func checkQueue(_ name: String) throws(AMQPError) -> QueueStatus {
        try declareQueue(name, passive: 1, isDurable: false, isExclusive: false, isAutoDelete: false, arguments: [:])
    }

    private func declareQueue(
        _ name: String, passive: amqp_boolean_t, isDurable: Bool, isExclusive: Bool, isAutoDelete: Bool,
        arguments: FieldTable
    ) throws(AMQPError) -> QueueStatus {
        try check([name], arguments)
        return try call(
            AMQP_QUEUE_DECLARE_METHOD, AMQP_QUEUE_DECLARE_OK_METHOD, as: amqp_queue_declare_ok_t.self,
            request: { arena in
                amqp_queue_declare_t(
                    ticket: 0, queue: arena.bytes(name), passive: passive, durable: isDurable ? 1 : 0,
                    exclusive: isExclusive ? 1 : 0, auto_delete: isAutoDelete ? 1 : 0, nowait: 0,
                    arguments: arena.table(arguments))
            },
            read: { reply in
                QueueStatus(
                    name: String(reply.queue), messageCount: Int(reply.message_count),
                    consumerCount: Int(reply.consumer_count))
            })
    }

    /// Deletes a queue with its messages; answers how many there were. Nothing happens if there is none.
    @discardableResult
    package func deleteQueue(_ name: String, ifUnused: Bool = false, ifEmpty: Bool = false) throws(AMQPError) -> Int {
        try check([name], [:])
        return try call(
            AMQP_QUEUE_DELETE_METHOD, AMQP_QUEUE_DELETE_OK_METHOD, as: amqp_queue_delete_ok_t.self,
            request: { arena in
                amqp_queue_delete_t(
                    ticket: 0, queue: arena.bytes(name), if_unused: ifUnused ? 1 : 0, if_empty: ifEmpty ? 1 : 0,
                    nowait: 0)
            }, read: { Int($0.message_count) })
    }

    /// Drops the ready messages of a queue; answers how many there were.
    @discardableResult
    package func purge(_ queue: String) throws(AMQPError) -> Int {
        try check([queue], [:])
        return try call(
            AMQP_QUEUE_PURGE_METHOD, AMQP_QUEUE_PURGE_OK_METHOD, as: amqp_queue_purge_ok_t.self,
            request: { arena in amqp_queue_purge_t(ticket: 0, queue: arena.bytes(queue), nowait: 0) },
            read: { Int($0.message_count) })
    }

    // MARK: Bindings

    package func bind(
        queue: String, to exchange: String, routingKey: String, arguments: FieldTable = [:]
    ) throws(AMQPError) {
        try check([queue, exchange, routingKey], arguments)
        try call(
            AMQP_QUEUE_BIND_METHOD, AMQP_QUEUE_BIND_OK_METHOD, as: amqp_queue_bind_ok_t.self,
            request: { arena in
                amqp_queue_bind_t(
                    ticket: 0, queue: arena.bytes(queue), exchange: arena.bytes(exchange),
                    routing_key: arena.bytes(routingKey), nowait: 0, arguments: arena.table(arguments))
            }, read: { _ in })
    }

    package func unbind(
        queue: String, from exchange: String, routingKey: String, arguments: FieldTable = [:]
    ) throws(AMQPError) {
        try check([queue, exchange, routingKey], arguments)
        try call(
            AMQP_QUEUE_UNBIND_METHOD, AMQP_QUEUE_UNBIND_OK_METHOD, as: amqp_queue_unbind_ok_t.self,
            request: { arena in
                amqp_queue_unbind_t(
                    ticket: 0, queue: arena.bytes(queue), exchange: arena.bytes(exchange),
                    routing_key: arena.bytes(routingKey), arguments: arena.table(arguments))
            }, read: { _ in })
    }

    /// Lets `exchange` receive what `source` routes by the key.
    package func bind(
        exchange: String, to source: String, routingKey: String, arguments: FieldTable = [:]
    ) throws(AMQPError) {
        try check([exchange, source, routingKey], arguments)
        try call(
            AMQP_EXCHANGE_BIND_METHOD, AMQP_EXCHANGE_BIND_OK_METHOD, as: amqp_exchange_bind_ok_t.self,
            request: { arena in
                amqp_exchange_bind_t(
                    ticket: 0, destination: arena.bytes(exchange), source: arena.bytes(source),
                    routing_key: arena.bytes(routingKey), nowait: 0, arguments: arena.table(arguments))
            }, read: { _ in })
    }

    package func unbind(
        exchange: String, from source: String, routingKey: String, arguments: FieldTable = [:]
    ) throws(AMQPError) {
        try check([exchange, source, routingKey], arguments)
        try call(
            AMQP_EXCHANGE_UNBIND_METHOD, AMQP_EXCHANGE_UNBIND_OK_METHOD, as: amqp_exchange_unbind_ok_t.self,
            request: { arena in
                amqp_exchange_unbind_t(
                    ticket: 0, destination: arena.bytes(exchange), source: arena.bytes(source),
                    routing_key: arena.bytes(routingKey), nowait: 0, arguments: arena.table(arguments))
            }, read: { _ in })
    }

    // MARK: Messages

    /// Takes one message, to be settled; nil if none is ready. Every look counts as a delivery for the queue's limit.
    package func get(_ queue: String) throws(AMQPError) -> Delivery? {
        try check([queue], [:])
        let link = try readyLink()
        let answer: amqp_method_t
        do throws(AMQPError) {
            answer = try link.exchange(
                AMQP_BASIC_GET_METHOD, [AMQP_BASIC_GET_OK_METHOD, AMQP_BASIC_GET_EMPTY_METHOD],
                request: { arena in amqp_basic_get_t(ticket: 0, queue: arena.bytes(queue), no_ack: 0) })
        } catch {
            throw note(error)
        }
        guard answer.id == AMQP_BASIC_GET_OK_METHOD else { return nil }
        let content = try awaitContent(startingWith: Incoming(method: answer), link)
        guard case .gotMessage(let tag, let isRedelivered, let exchange, let routingKey) = content.method else {
            throw note(AMQPError(.protocolViolation, "another message than the one asked for"))
        }
        return Delivery(
            queue: queue, consumerTag: "", deliveryTag: tag, epoch: epoch, isRedelivered: isRedelivered,
            exchange: exchange, routingKey: routingKey, properties: content.properties, body: content.body)
    }

    private func awaitContent(
        startingWith method: Incoming, _ link: Link
    ) throws(AMQPError) -> ContentAssembler.Content {
        _ = try assembler.accept(method)
        let end = ContinuousClock.now + link.rpcTimeout
        do throws(AMQPError) {
            while ContinuousClock.now < end {
                guard let incoming = try link.next(wait: max(.zero, end - .now)) else { continue }
                if let content = try assembler.accept(incoming) { return content }
            }
        } catch {
            throw note(error)
        }
        let error = AMQPError(.timedOut, "the message did not arrive whole")
        drop(error)
        throw error
    }

    package func acknowledge(_ delivery: Delivery) throws(AMQPError) {
        try settle(delivery) { (link) throws(AMQPError) in try link.acknowledge(delivery.deliveryTag, multiple: false) }
    }

    package func reject(_ delivery: Delivery, requeue: Bool) throws(AMQPError) {
        try settle(delivery) { (link) throws(AMQPError) in
            if requeue { try link.requeue(delivery.deliveryTag) } else { try link.reject(delivery.deliveryTag) }
        }
    }

    /// Settlements of a channel that is gone are left out: its messages went back to their queues.
    private func settle(_ delivery: Delivery, _ settle: (Link) throws(AMQPError) -> Void) throws(AMQPError) {
        let link = try readyLink()
        guard delivery.epoch == epoch else { return }
        do throws(AMQPError) {
            try settle(link)
        } catch {
            throw note(error)
        }
    }

    /// Sends a message and waits for its confirm, at most `rpcTimeout`. One at a time: many go through `Publisher`.
    package func publish(_ publication: Publication) throws(PublishError) {
        if let objection = WireSize.objection(to: publication, frameMax: Link.frameMax) {
            throw PublishError(.invalid(reason: objection))
        }
        let link: Link
        do throws(AMQPError) {
            link = try readyLink()
            if !isConfirming {
                try link.call(
                    AMQP_CONFIRM_SELECT_METHOD, AMQP_CONFIRM_SELECT_OK_METHOD, as: amqp_confirm_select_ok_t.self,
                    request: { _ in amqp_confirm_select_t(nowait: 0) }, read: { _ in })
                isConfirming = true
            }
            try link.checkSilence()
        } catch {
            throw PublishError(.unavailable, underlying: note(error))
        }
        var outcome: ConfirmWindow<Publication>.Outcome?
        confirms.send(publication)
        do throws(AMQPError) {
            try link.publish(publication)
            // Sends a last body frame that the library holds back because it exactly fills a frame.
            link.socket.cork(false)
            let end = ContinuousClock.now + link.rpcTimeout
            while outcome == nil, ContinuousClock.now < end {
                guard let incoming = try link.next(wait: max(.zero, end - .now)) else { continue }
                switch incoming {
                case .acknowledge(let tag, let multiple):
                    _ = confirms.settle(tag, multiple: multiple, isRefused: false) { outcome = $1 }
                case .refuse(let tag, let multiple):
                    _ = confirms.settle(tag, multiple: multiple, isRefused: true) { outcome = $1 }
                default:
                    try handle(incoming)
                }
            }
        } catch {
            throw PublishError(.unknown, underlying: note(error))
        }
        switch outcome {
        case .confirmed: return
        case .refused: throw PublishError(.refused)
        case .returned(let code, let text): throw PublishError(.returned(replyCode: code, replyText: text))
        case nil:
            _ = confirms.abandon { _ in true }
            throw PublishError(.unknown, underlying: AMQPError(.timedOut, "no confirm in time"))
        }
    }

    // MARK: Beneath

    private func call<Request, Reply, Result>(
        _ id: amqp_method_number_t, _ reply: amqp_method_number_t, as type: Reply.Type,
        request: (borrowing Arena) -> Request, read: (Reply) -> Result
    ) throws(AMQPError) -> Result {
        let link = try readyLink()
        do throws(AMQPError) {
            return try link.call(id, reply, as: type, request: request, read: read)
        } catch {
            throw note(error)
        }
    }

    /// The link with its channel open.
    private func readyLink() throws(AMQPError) -> Link {
        guard let link else { throw lastError }
        if isChannelOpen { return link }
        do throws(AMQPError) {
            try link.openChannel()
        } catch {
            throw note(error)
        }
        isChannelOpen = true
        return link
    }

    /// Draws the consequences of an error: the channel is gone, or the connection.
    private func note(_ error: AMQPError) -> AMQPError {
        if link?.isBroken == true { drop(error) }
        isChannelOpen = false
        isConfirming = false
        epoch += 1
        assembler = ContentAssembler()
        confirms = ConfirmWindow()
        return error
    }

    /// A frame that came outside of an answer.
    private func handle(_ incoming: Incoming) throws(AMQPError) {
        switch incoming {
        case .channelClosed(let code, let text):
            let error = AMQPError(replyCode: code, text: text, of: .channel)
            try link?.confirmChannelClosed()
            throw error
        default:
            if let content = try assembler.accept(incoming),
                case .returned(let code, let text, _, _) = content.method
            {
                // Only one publish is under way at a time, so a returned message is that one.
                _ = confirms.markReturned(replyCode: code, replyText: text) { _ in true }
            }
        }
    }

    /// Refuses names and arguments that do not fit into the protocol's fields.
    private func check(_ names: [String], _ arguments: FieldTable) throws(AMQPError) {
        if let name = names.first(where: { $0.utf8.count > WireSize.maxShortString }) {
            throw AMQPError(.invalidArgument, "longer than 255 bytes: \(name.prefix(40))...")
        }
        switch WireSize.measure(arguments) {
        case .failure(let objection):
            throw AMQPError(.invalidArgument, "arguments: \(objection.reason)")
        case .success(let size) where size > 65_536:
            throw AMQPError(.invalidArgument, "arguments: \(size) bytes, more than 65536")
        case .success:
            break
        }
    }
}
