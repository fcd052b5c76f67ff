import Glibc
package import Logging
import OwnerThread
import ServiceLifecycle

/// Answers `/healthz`, `/readyz` and `/metrics` of every process, to those who may reach its address.
///
/// It runs on a thread of its own, so it answers while everything else is busy. One request for each connection, GET
/// and HEAD only. Peers are bounded: at most `maxConnections` at once (more wait in the kernel's queue), heads of at most
/// 8 KiB, and `timeLimit` for a whole exchange, after which the connection is dropped.
package actor AdminServer: Service {
    private let thread = OwnerThread(name: "admin")
    nonisolated package var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let address: AdminAddress
    private let timeLimit: Duration
    private let readiness: @Sendable () async -> [Readiness]
    private let metrics: @Sendable () -> String
    private let logger: Logger

    private var listener: (descriptor: CInt, watch: OwnerThread.WatchID)?
    private var exchanges: [CInt: Exchange] = [:]
    private var lastExchange: UInt64 = 0
    private let acceptOne: @Sendable (CInt) -> CInt
    private var isRecovering = false

    static let maxConnections = 32
    /// How long the listener rests after a failure that the next look would only meet again.
    static let recovery = Duration.milliseconds(100)

    /// One connection, from accept to close.
    private struct Exchange {
        /// Descriptors are used again; this tells a late answer that its connection is gone.
        let id: UInt64
        let watch: OwnerThread.WatchID
        let timer: OwnerThread.TimerID
        var received: [UInt8] = []
        var progress = Progress.receiving
        var unsent: ArraySlice<UInt8> = []

        enum Progress {
            case receiving
            /// The request is whole and its answer is being made or sent.
            case answering
            /// Everything was sent; what the peer still says is read and thrown away.
            case answered
        }
    }

    /// - Parameters:
    ///   - timeLimit: for one exchange, from accept to the last byte, the readiness checks included.
    ///   - readiness: called for each `/readyz`; may be slow, may be called again before it has answered.
    ///   - metrics: the text of `/metrics`; called on this server's thread.
    ///   - acceptOne: takes a connection from a listening descriptor; gives its descriptor, or the negative `errno`.
    package init(
        address: AdminAddress, timeLimit: Duration = .seconds(5), logger: Logger,
        readiness: @escaping @Sendable () async -> [Readiness], metrics: @escaping @Sendable () -> String,
        acceptOne: @escaping @Sendable (CInt) -> CInt = { listener in
            let descriptor = Glibc.accept(listener, nil, nil)
            return descriptor >= 0 ? descriptor : -errno
        }
    ) {
        self.address = address
        self.timeLimit = timeLimit
        self.readiness = readiness
        self.metrics = metrics
        self.acceptOne = acceptOne
        self.logger = logger
    }

    isolated deinit {
        close()
        thread.stop()
    }

    /// Listens until graceful shutdown or cancellation, then closes everything at once.
    ///
    /// - Throws: `AdminServerError` if the address cannot be had.
    package func run() async throws {
        let port = try start()
        logger.info("admin endpoint listens", metadata: ["http.address": "\(address.host):\(port)"])
        // Throws when cancelled, which ends it just the same.
        try? await gracefulShutdown()
        stop()
    }

    /// Ends every exchange and stops listening; `run` does this itself.
    package func stop() {
        close()
    }

    /// Begins to listen, unless it does; `run` does this itself.
    ///
    /// - Returns: the port, which is of interest if the address left it open.
    /// - Throws: `AdminServerError` if the address cannot be had.
    @discardableResult
    package func start() throws -> UInt16 {
        precondition(listener == nil, "an admin server is started once")
        let (descriptor, port) = try address.listen()
        listener = (descriptor, watch(descriptor) { server, _ in server.accept() })
        return port
    }

    private func watch(
        _ descriptor: CInt, _ body: @escaping @Sendable (isolated AdminServer, _ hasFailed: Bool) -> Void
    ) -> OwnerThread.WatchID {
        thread.watch(descriptor, for: .readable) { [weak self] readiness in
            // Handlers run on the thread that is this actor's executor.
            self?.assumeIsolated { body($0, readiness.contains(.failed)) }
        }
    }

    private func close() {
        if let listener {
            thread.unwatch(listener.watch)
            Glibc.close(listener.descriptor)
        }
        listener = nil
        for descriptor in Array(exchanges.keys) { drop(descriptor) }
    }

    // MARK: Exchanges

    private func accept() {
        guard let listener, !isRecovering else { return }
        while exchanges.count < Self.maxConnections {
            let descriptor = acceptOne(listener.descriptor)
            guard descriptor >= 0 else {
                switch -descriptor {
                case EAGAIN: return
                // The peer left, or a signal came: the next one may be there.
                case ECONNABORTED, EINTR: continue
                default: return rest()
                }
            }
            // Two steps where Linux has accept4, which Glibc's module hides: nothing of ours forks in between.
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
            lastExchange += 1
            let id = lastExchange
            exchanges[descriptor] = Exchange(
                id: id, watch: watch(descriptor) { server, hasFailed in server.proceed(descriptor, id, hasFailed) },
                timer: thread.schedule(after: timeLimit) { [weak self] in
                    self?.assumeIsolated { server in
                        if server.exchanges[descriptor]?.id == id { server.drop(descriptor) }
                    }
                })
        }
        // Full: the kernel keeps the rest, and the thread must not spin on a readable listener.
        thread.update(listener.watch, for: [])
    }

    /// Leaves the listener alone for a while: with no descriptor or memory left, accept fails and the connection stays, so
    /// the thread would spin.
    private func rest() {
        guard let listener else { return }
        isRecovering = true
        thread.update(listener.watch, for: [])
        thread.schedule(after: Self.recovery) { [weak self] in
            self?.assumeIsolated { server in
                server.isRecovering = false
                if let listener = server.listener { server.thread.update(listener.watch, for: .readable) }
            }
        }
    }

    private func drop(_ descriptor: CInt) {
        guard let exchange = exchanges.removeValue(forKey: descriptor) else { return }
        thread.unwatch(exchange.watch)
        thread.cancel(exchange.timer)
        Glibc.close(descriptor)
        if let listener, !isRecovering { thread.update(listener.watch, for: .readable) }
    }

    private func proceed(_ descriptor: CInt, _ id: UInt64, _ hasFailed: Bool) {
        guard let exchange = exchanges[descriptor], exchange.id == id else { return }
        if !exchange.unsent.isEmpty { return send(descriptor) }
        // Nobody is left to answer, and a failure is reported again and again whatever is watched for.
        if hasFailed { return drop(descriptor) }
        var chunk = [UInt8](repeating: 0, count: HTTPHead.maxBytes)
        let count = read(descriptor, &chunk, chunk.count)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        if count == 0, exchange.progress == .answering {
            // It has said all and still listens. The end stays readable; the answer wakes the watch again.
            return thread.update(exchange.watch, for: [])
        }
        guard count > 0 else { return drop(descriptor) }
        // What follows a request is not wanted, and not kept.
        if exchange.progress != .receiving { return }
        exchanges[descriptor]?.received += chunk.prefix(count)
        let received = exchanges[descriptor]?.received ?? []
        switch HTTPHead.parse(received) {
        case .incomplete where received.count < HTTPHead.maxBytes:
            return
        case .incomplete:
            answer(descriptor, HTTPResponse(status: 431, body: "the request's head is too long\n"))
        case .malformed:
            answer(descriptor, HTTPResponse(status: 400, body: "this is not an HTTP/1.1 request\n"))
        case .request(let method, let path):
            respond(descriptor, id, method: method, path: path)
        }
    }

    private func respond(_ descriptor: CInt, _ id: UInt64, method: String, path: String) {
        let isHeadOnly = method == "HEAD"
        guard isHeadOnly || method == "GET" else {
            return answer(descriptor, HTTPResponse(status: 405, body: "only GET and HEAD are answered here\n"))
        }
        switch path {
        case "/healthz":
            answer(descriptor, HTTPResponse(status: 200, body: "alive\n", isHeadOnly: isHeadOnly))
        case "/metrics":
            answer(
                descriptor,
                HTTPResponse(
                    status: 200, contentType: PrometheusText.contentType, body: metrics(), isHeadOnly: isHeadOnly))
        case "/readyz":
            exchanges[descriptor]?.progress = .answering
            // Unstructured because the thread must not wait for the checks; the exchange's timer bounds its use.
            Task { [weak self, readiness] in
                let (status, body) = Readiness.answer(await readiness())
                await self?.finish(
                    descriptor, id,
                    HTTPResponse(
                        status: status, contentType: "application/json", body: body, isHeadOnly: isHeadOnly))
            }
        default:
            let body = "there is nothing here; try /healthz, /readyz or /metrics\n"
            answer(descriptor, HTTPResponse(status: 404, body: body, isHeadOnly: isHeadOnly))
        }
    }

    private func finish(_ descriptor: CInt, _ id: UInt64, _ response: HTTPResponse) {
        guard exchanges[descriptor]?.id == id else { return }
        answer(descriptor, response)
    }

    private func answer(_ descriptor: CInt, _ response: HTTPResponse) {
        exchanges[descriptor]?.progress = .answering
        exchanges[descriptor]?.unsent = response.bytes[...]
        send(descriptor)
    }

    private func send(_ descriptor: CInt) {
        guard var exchange = exchanges[descriptor] else { return }
        while !exchange.unsent.isEmpty {
            let count = exchange.unsent.withUnsafeBytes { bytes in
                // A peer that has gone must not raise SIGPIPE.
                Glibc.send(descriptor, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
            }
            if count > 0 {
                exchange.unsent = exchange.unsent.dropFirst(count)
            } else if errno == EAGAIN {
                exchanges[descriptor] = exchange
                thread.update(exchange.watch, for: .writable)
                return
            } else if errno != EINTR {
                return drop(descriptor)
            }
        }
        // The peer sees the end of the answer first; closing with unread bytes would reset the connection under it.
        shutdown(descriptor, CInt(SHUT_WR))
        exchanges[descriptor]?.unsent = []
        exchanges[descriptor]?.progress = .answered
        thread.update(exchange.watch, for: .readable)
    }
}
