/// An HTTP/1.1 and HTTP/2 client that keeps its connections. One thread, any number of requests at once.
package final class HTTPClient: Sendable {
    private let loop: TransferLoop

    /// Makes a client; nothing is started before the first request.
    ///
    /// - Parameters:
    ///   - name: of the thread, shown by `ps -L`.
    ///   - maxConnectionsPerHost: requests past it wait for a connection, within their own timeout; over HTTP/2 many share
    ///     one.
    ///   - maxConnections: over all hosts.
    ///   - idleTimeout: connections are closed this long after the last request has ended.
    package init(
        name: String, maxConnectionsPerHost: Int = 8, maxConnections: Int = 64, idleTimeout: Duration = .seconds(60)
    ) {
        loop = TransferLoop(
            name: name,
            limits: .init(
                connectionsPerHost: maxConnectionsPerHost, connections: maxConnections, idleTimeout: idleTimeout))
    }

    /// Sends a request and gives the whole answer, whatever its status.
    ///
    /// Cancelling the task ends the request at once. The library repeats a request by itself only if a kept connection
    /// had died before any answer and the method is idempotent.
    package func send(_ request: HTTPRequest) async throws(TransportError) -> HTTPResponse {
        if let problem = request.problem { throw TransportError(code: .invalidRequest, message: problem) }
        return try await loop.run { HTTPTransfer(request) }.get()
    }

    /// Fails the requests under way as `closed`, closes every connection and ends the thread.
    package func close() async {
        await loop.close()
    }

    /// Connections open now, idle ones included; for tests.
    package var openConnections: Int {
        get async { await loop.openConnections }
    }
}
