import Glibc
package import Logging
import OwnerThread
import ServiceLifecycle

/// Answers `/healthz`, `/readyz` and `/metrics` for processes that have no HTTP server otherwise.
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

    static let maxConnections = 32

    /// One connection, from accept to close.
    private struct Exchange {
        /// Descriptors are used again; this tells a late answer that its connection is gone.
        let id: UInt64
        let watch: OwnerThread.WatchID
        let timer: OwnerThread.TimerID
        var received: [UInt8] = []
        var isAnswering = false
        var unsent: ArraySlice<UInt8> = []
    }

    /// - Parameters:
    ///   - timeLimit: for one exchange, from accept to the last byte, the readiness checks included.
    ///   - readiness: called for each `/readyz`; may be slow, may be called again before it has answered.
    ///   - metrics: the text of `/metrics`; called on this server's thread.
    package init(
        address: AdminAddress, timeLimit: Duration = .seconds(5), logger: Logger,
        readiness: @escaping @Sendable () async -> [Readiness], metrics: @escaping @Sendable () -> String
    ) {
        self.address = address
        self.timeLimit = timeLimit
        self.readiness = readiness
        self.metrics = metrics
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
        listener = (descriptor, watch(descriptor) { server in server.accept() })
        return port
    }

    private func watch(
        _ descriptor: CInt, _ body: @escaping @Sendable (isolated AdminServer) -> Void
    ) -> OwnerThread.WatchID {
        thread.watch(descriptor, for: .readable) { [weak self] _ in
            // Handlers run on the thread that is this actor's executor.
            self?.assumeIsolated { body($0) }
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
        guard let listener else { return }
        while exchanges.count < Self.maxConnections {
            let descriptor = Glibc.accept(listener.descriptor, nil, nil)
            guard descriptor >= 0 else { return }
            // Two steps where Linux has accept4, which Glibc's module hides: nothing of ours forks in between.
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
            lastExchange += 1
            let id = lastExchange
            exchanges[descriptor] = Exchange(
                id: id, watch: watch(descriptor) { server in server.proceed(descriptor, id) },
                timer: thread.schedule(after: timeLimit) { [weak self] in
                    self?.assumeIsolated { server in
                        if server.exchanges[descriptor]?.id == id { server.drop(descriptor) }
                    }
                })
        }
        // Full: the kernel keeps the rest, and the thread must not spin on a readable listener.
        thread.update(listener.watch, for: [])
    }

    private func drop(_ descriptor: CInt) {
        guard let exchange = exchanges.removeValue(forKey: descriptor) else { return }
        thread.unwatch(exchange.watch)
        thread.cancel(exchange.timer)
        Glibc.close(descriptor)
        if let listener { thread.update(listener.watch, for: .readable) }
    }

    private func proceed(_ descriptor: CInt, _ id: UInt64) {
        guard let exchange = exchanges[descriptor], exchange.id == id else { return }
        if !exchange.unsent.isEmpty { return send(descriptor) }
        var chunk = [UInt8](repeating: 0, count: HTTPHead.maxBytes)
        let count = read(descriptor, &chunk, chunk.count)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else { return drop(descriptor) }
        // What follows a request is not wanted, and not kept.
        if exchange.isAnswering { return }
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
            exchanges[descriptor]?.isAnswering = true
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
        exchanges[descriptor]?.isAnswering = true
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
        thread.update(exchange.watch, for: .readable)
    }
}
