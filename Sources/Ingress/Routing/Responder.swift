import Domain
import Foundation
import HTTPTypes
import HummingbirdCore
import Logging
import NIOCore
import Persistence
import Postgres
import Traces

/// Takes a request from its header to its written answer.
///
/// The body is read before anything is decided, up to the route's limit, so that every answer leaves the connection in a
/// known state: either the request was read to its end, or the connection is closed.
struct Responder: Sendable {
    let table: RouteTable
    let authenticator: Authenticator
    let metrics: IngressMetrics
    let requests: RouteMetrics
    let limits: IngressConfiguration.Limits
    /// Whose `X-Forwarded-For` is believed.
    let trustedProxies: [AddressRange]
    /// Whether answers tell browsers to keep to TLS.
    let isStrictTransport: Bool
    let now: @Sendable () -> Date
    let logger: Logger
    let date = HTTPDate()

    /// Thrown after an answer that ends its connection.
    struct EndOfConnection: Error {}

    /// What a peer may still send after it was told that its body is too large, so that it gets to read the answer.
    static let maxLingerBytes = 4 << 20

    func respond(to request: Request, writer: consuming ResponseWriter, channel: any Channel) async throws {
        let start = ContinuousClock.now
        let receivedAt = now()
        let (path, query) = Self.split(request.head.path ?? "/")
        let match = table.match(request.head.method, path)
        var limit = limits.maxAPIBodyBytes
        var route: Int?
        var parameter: Substring = ""
        if case .found(let index, let value) = match {
            route = index
            limit = table.routes[index].maxBodyBytes
            parameter = value
        }
        let caller = TraceContext(traceParent: request.headers[.traceParent])
        let span = span(of: request.head.method, route, under: caller)
        var incoming = IngressRequest(
            method: request.head.method, path: path, query: query, headers: request.headers, body: [],
            pathParameter: String(parameter),
            requestID: RequestID.accept(request.headers[.requestID]) ?? RequestID.make(),
            receivedAt: receivedAt, authority: request.head.authority,
            address: ClientAddress.of(channel.remoteAddress, request.headers, trusting: trustedProxies),
            trace: span?.context ?? caller ?? .root(isSampled: false))

        var body = BodyReader(request.body, limit: limit)
        if body.mayRead(request.headers), request.headers[.expect]?.lowercased() == "100-continue" {
            try await writer.writeInformationalHead(HTTPResponse(status: .continue))
        }
        let isComplete = try await body.read(request.headers)
        var response: IngressResponse
        if isComplete {
            incoming.body = body.bytes
            response = await answer(incoming, match)
        } else {
            let problem = ProblemResponse(
                .payloadTooLarge, "The body may have \(limit) bytes.", headers: [.connection: "close"])
            response = render(problem, incoming)
        }
        finish(&response, incoming, route, span, since: start)
        let hasBody = request.head.method != .head && response.status != .notModified
        try await writer.write(
            response: HTTPResponse(status: response.status, headerFields: response.headers),
            body: hasBody ? ResponseBody(byteBuffer: response.body) : ResponseBody())
        if !isComplete {
            // Closing at once would reset the connection, and a reset can overtake the answer.
            try await body.discard(upTo: Self.maxLingerBytes)
            throw EndOfConnection()
        }
    }

    /// The path and what follows its question mark. A whole URL (RFC 9112 section 3.2.2) loses its host.
    static func split(_ target: String) -> (path: Substring, query: Substring?) {
        var rest = target[...]
        if !rest.hasPrefix("/"), let scheme = rest.firstRange(of: "://") {
            let afterScheme = rest[scheme.upperBound...]
            rest = afterScheme.firstIndex(of: "/").map { afterScheme[$0...] } ?? "/"
        }
        guard let mark = rest.utf8.firstIndex(of: UInt8(ascii: "?")) else { return (rest, nil) }
        return (rest[..<mark], rest[rest.utf8.index(after: mark)...])
    }

    /// Adds what every answer has, counts it, and ends its span.
    func finish(
        _ response: inout IngressResponse, _ request: IngressRequest, _ route: Int?, _ span: Span?,
        since start: ContinuousClock.Instant
    ) {
        complete(&response, request)
        requests.answered(route: route, status: response.status.code, within: start.duration(to: .now))
        span?.end(
            failure: response.status.code >= 500 ? "answered \(response.status.code)" : nil,
            [
                "http.response.status_code": .number(response.status.code),
                "http.request_id": .text(request.requestID),
            ])
    }

    /// Probes and paths that are none of ours are not worth a span.
    func span(of method: HTTPRequest.Method, _ route: Int?, under caller: TraceContext?) -> Span? {
        guard let template = route.map({ table.routes[$0].template }),
            template.hasPrefix("/v1/") || template.hasPrefix("/webhooks/")
        else { return nil }
        return Span.begin(
            "\(method.rawValue) \(template)", .server, parent: caller,
            ["http.request.method": .text(method.rawValue), "http.route": .text(template)])
    }

    private func answer(_ request: IngressRequest, _ match: RouteTable.Match) async -> IngressResponse {
        do {
            switch match {
            case .unknown:
                throw ProblemResponse(.notFound, "There is nothing at this path.")
            case .wrongMethod(let allowed):
                let methods = allowed.map(\.rawValue).joined(separator: ", ")
                throw ProblemResponse(
                    .methodNotAllowed, "The path takes \(methods).", headers: [.allow: methods])
            case .found(let index, _):
                switch table.routes[index].handler {
                case .open(let handle):
                    return try await handle(request)
                case .authorized(let permission, let handle):
                    let principal = try await authenticator.authenticate(request, for: permission)
                    return try await handle(request, principal)
                }
            }
        } catch {
            return answer(to: request, failedWith: error)
        }
    }

    /// What a caller is told of an error.
    func answer(to request: IngressRequest, failedWith error: any Error) -> IngressResponse {
        render(problem(for: error, request), request)
    }

    /// What may be told of an error. Details that only help us go to the log.
    private func problem(for error: any Error, _ request: IngressRequest) -> ProblemResponse {
        if let problem = error as? ProblemResponse { return problem }
        if let problem = error as? Problem { return ProblemResponse(problem) }
        let metadata: Logger.Metadata = [
            "http.request_id": "\(request.requestID)", "http.path": "\(request.path)", "error": "\(error)",
            "trace.id": "\(request.trace.traceID)",
        ]
        if let error = error as? PostgresError, Self.meansThatTheDatabaseIsAway(error) {
            metrics.unavailable()
            logger.warning("the database is needed and away", metadata: metadata)
            return .unavailable("The database cannot be reached at the moment.")
        }
        if error is CancellationError {
            return .unavailable("The server is stopping.", retryAfter: 1)
        }
        logger.error("request failed", metadata: metadata)
        return ProblemResponse(.internalError)
    }

    /// Whether the same request may do better later. A commit of unknown outcome is one, thanks to idempotency keys.
    private static func meansThatTheDatabaseIsAway(_ error: PostgresError) -> Bool {
        let codes: Set<PostgresError.Code> = [
            .connectionFailed, .connectionLost, .authenticationFailed, .tlsFailed, .timeout, .poolTimeout, .closed,
        ]
        return error.isRetriable || error.isCommitUnknown || codes.contains(error.code)
    }

    private func render(_ problem: ProblemResponse, _ request: IngressRequest) -> IngressResponse {
        let document = ProblemDocument(problem.problem, instance: request.path, requestID: request.requestID)
        // Encoding strings and numbers cannot fail; if it did, the status would still be right.
        return (try? document.response(headers: problem.headers))
            ?? IngressResponse(status: HTTPResponse.Status(code: problem.problem.status), headers: problem.headers)
    }

    private func complete(_ response: inout IngressResponse, _ request: IngressRequest) {
        if response.status != .notModified, response.status != .noContent {
            response.headers[.contentLength] = "\(response.body.readableBytes)"
        }
        response.headers[.date] = date.text(at: request.receivedAt)
        response.headers[.server] = "neff"
        response.headers[.requestID] = request.requestID
        response.headers[.contentTypeOptions] = "nosniff"
        if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
        response.headers[.contentSecurityPolicy] = "default-src 'none'; frame-ancestors 'none'"
        if isStrictTransport { response.headers[.strictTransportSecurity] = "max-age=31536000" }
    }
}
