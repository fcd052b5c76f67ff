import Synchronization

/// An HTTP/1.1 server in clear text on loopback whose answers a test writes byte by byte.
package final class ScriptedHTTPServer: Sendable {
    /// One request as it came.
    package struct Request: Sendable {
        /// The connection's number, from 0.
        package let connection: Int
        /// The request line's method.
        package let method: String
        /// The request line's target.
        package let target: String
        /// The header lines, unfolded, as they came.
        package let headerLines: [String]
        /// The body, as long as `Content-Length` says.
        package let body: [UInt8]

        /// The value of a header field, by its name in any case.
        package func header(_ name: String) -> String? {
            let prefix = name.lowercased() + ":"
            guard let line = headerLines.first(where: { $0.lowercased().hasPrefix(prefix) }) else { return nil }
            return String(line.dropFirst(prefix.count).drop { $0 == " " })
        }
    }

    private let server: ScriptedServer
    private let log: Log

    private final class Log: Sendable {
        let requests = Mutex<[Request]>([])
        let stream: AsyncStream<Request>
        let continuation: AsyncStream<Request>.Continuation
        init() { (stream, continuation) = AsyncStream.makeStream() }
    }

    /// Starts a server.
    ///
    /// - Parameter answer: writes the answer; the connection is kept while it returns true.
    package init(_ answer: @escaping @Sendable (Request, ScriptedConnection) -> Bool) throws {
        let log = Log()
        self.log = log
        server = try ScriptedServer { connection in
            while let request = Self.read(connection) {
                log.requests.withLock { $0.append(request) }
                log.continuation.yield(request)
                guard answer(request, connection) else { return }
            }
        }
    }

    /// The text of a complete answer.
    package static func answer(_ status: String, headers: [String] = [], body: String = "") -> String {
        let fields = headers + ["Content-Length: \(body.utf8.count)"]
        return "HTTP/1.1 \(status)\r\n" + fields.joined(separator: "\r\n") + "\r\n\r\n" + body
    }

    /// An absolute URL of this server.
    package func url(_ path: String = "/") -> String { "http://127.0.0.1:\(server.port)\(path)" }
    /// What came so far.
    package var requests: [Request] { log.requests.withLock { $0 } }
    /// How many connections came.
    package var connectionCount: Int { server.connectionCount }
    /// Waits for the next request; one waiter at a time.
    package func nextRequest() async {
        for await _ in log.stream { return }
    }
    /// Stops the server and cuts its connections.
    package func stop() { server.stop() }

    private static func read(_ connection: ScriptedConnection) -> Request? {
        guard let line = connection.readLine() else { return nil }
        let words = line.split(separator: " ").map(String.init)
        guard words.count == 3 else { return nil }
        var headers: [String] = []
        while let line = connection.readLine(), !line.isEmpty { headers.append(line) }
        var request = Request(
            connection: connection.number, method: words[0], target: words[1], headerLines: headers, body: [])
        if let length = request.header("Content-Length").flatMap({ Int($0) }), length > 0 {
            guard let body = connection.read(length) else { return nil }
            request = Request(
                connection: connection.number, method: words[0], target: words[1], headerLines: headers, body: body)
        }
        return request
    }
}
