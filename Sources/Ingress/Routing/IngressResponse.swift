import HTTPTypes
import NIOCore

/// An answer before the headers that every answer has.
struct IngressResponse: Sendable {
    var status: HTTPResponse.Status
    var headers: HTTPFields
    var body: ByteBuffer

    init(status: HTTPResponse.Status, headers: HTTPFields = [:], body: ByteBuffer = ByteBuffer()) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// JSON that is ready.
    static func json(_ bytes: [UInt8], status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]) -> IngressResponse
    {
        var headers = headers
        headers[.contentType] = "application/json"
        return IngressResponse(status: status, headers: headers, body: ByteBuffer(bytes: bytes))
    }
}

extension HTTPField.Name {
    static let calendlySignature = Self.literal("Calendly-Webhook-Signature")
    static let idempotencyKey = Self.literal("Idempotency-Key")
    static let idempotentReplayed = Self.literal("Idempotent-Replayed")
    static let prefer = Self.literal("Prefer")
    static let preferenceApplied = Self.literal("Preference-Applied")
    static let link = Self.literal("Link")
    static let csrfToken = Self.literal("X-CSRF-Token")
    static let forwardedFor = Self.literal("X-Forwarded-For")
    static let secFetchSite = Self.literal("Sec-Fetch-Site")
    static let requestID = Self.literal("X-Request-Id")
    static let retryAfter = Self.literal("Retry-After")
    static let traceParent = Self.literal("traceparent")
    static let contentTypeOptions = Self.literal("X-Content-Type-Options")
    static let contentSecurityPolicy = Self.literal("Content-Security-Policy")
    static let strictTransportSecurity = Self.literal("Strict-Transport-Security")
    static let wwwAuthenticate = Self.literal("WWW-Authenticate")

    private static func literal(_ text: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(text) else { preconditionFailure("\(text) is not a field name") }
        return name
    }
}
