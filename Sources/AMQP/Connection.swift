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
    private let thread: OwnerThread
    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let logger: Logger
    private var link: Link?
    private var lastError = AMQPError(.closed, "the connection is not open")
    private var isChannelOpen = false
    // Also used by the extensions; all of it belongs to the channel that is open.
    var isConfirming = false
    var epoch: UInt64 = 0
    var assembler = ContentAssembler()
    var confirms = ConfirmWindow<Publication>()
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

    func drop(_ error: AMQPError) {
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

    // MARK: Beneath

    /// A request that is answered with something, or refused.
    func call<Request, Reply, Result>(
        _ id: amqp_method_number_t, _ reply: amqp_method_number_t, request: (borrowing Arena) -> Request,
        read: (Reply) -> Result
    ) throws(AMQPError) -> Result {
        let link = try readyLink()
        do throws(AMQPError) {
            return try link.call(id, reply, request: request, read: read)
        } catch {
            throw note(error)
        }
    }

    /// A request that is met or refused, without an answer of interest.
    func call<Request>(
        _ id: amqp_method_number_t, _ reply: amqp_method_number_t, request: (borrowing Arena) -> Request
    ) throws(AMQPError) {
        let link = try readyLink()
        do throws(AMQPError) {
            try link.call(id, reply, request: request)
        } catch {
            throw note(error)
        }
    }

    /// The link with its channel open.
    func readyLink() throws(AMQPError) -> Link {
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
    func note(_ error: AMQPError) -> AMQPError {
        if link?.isBroken == true { drop(error) }
        isChannelOpen = false
        isConfirming = false
        epoch += 1
        assembler = ContentAssembler()
        confirms = ConfirmWindow()
        return error
    }

    /// A frame that came outside of an answer.
    func handle(_ incoming: Incoming) throws(AMQPError) {
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
    func check(_ names: [String], _ arguments: FieldTable) throws(AMQPError) {
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
