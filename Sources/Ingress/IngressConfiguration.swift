package import Persistence

/// How the ingress listens, whom it believes and how much it takes.
package struct IngressConfiguration: Sendable {
    /// Where to listen.
    package struct Address: Hashable, Sendable, CustomStringConvertible {
        package var host: String
        /// 0 takes a free port; `IngressServer.port()` tells which.
        package var port: Int

        package init(host: String = "127.0.0.1", port: Int = 8080) {
            self.host = host
            self.port = port
        }

        package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    /// The server's certificate. Both files are PEM and are read once, when the server starts.
    package struct TLS: Hashable, Sendable {
        /// The certificate, followed by those that lead to its root.
        package var certificateChainPath: String
        package var privateKeyPath: String

        package init(certificateChainPath: String, privateKeyPath: String) {
            self.certificateChainPath = certificateChainPath
            self.privateKeyPath = privateKeyPath
        }
    }

    /// What one peer may cost.
    package struct Limits: Hashable, Sendable {
        /// Body of a webhook; more is answered 413.
        package var maxWebhookBodyBytes = 1 << 20
        /// Body of an API request; more is answered 413.
        package var maxAPIBodyBytes = 256 << 10
        /// All header fields of a request together.
        package var maxHeaderBytes = 16 << 10
        package var maxHeaderCount = 100
        /// Connections at once; further ones wait in the listen queue until one closes.
        package var maxConnections = 4_096
        /// Length of the listen queue.
        package var backlog = 1_024

        package init() {}
    }

    /// How long one peer may take, so that a slow one cannot hold a connection for ever.
    package struct Timeouts: Hashable, Sendable {
        /// From the connection's start, TLS handshake included, until the first request's header is complete.
        package var header: Duration = .seconds(10)
        /// From the header until the body is complete, however steadily it trickles in.
        package var body: Duration = .seconds(15)
        /// From the answer's first byte until the peer has taken the last.
        package var write: Duration = .seconds(15)
        /// Between an answer and the next request's complete header on a kept connection.
        package var idle: Duration = .seconds(60)

        package init() {}
    }

    /// How much work passwords may be.
    package struct Passwords: Hashable, Sendable {
        /// What new hashes are made with.
        package var parameters = PasswordHash.Parameters.standard
        /// Hashes that are computed side by side; each holds `parameters.memoryBytes`, 128 MiB.
        package var atOnce = 2
        /// Further ones that wait their turn; more are answered 503.
        package var maxWaiting = 16

        package init() {}
    }

    package var address: Address
    /// Nil serves plain HTTP, for use behind a proxy that ends TLS.
    package var tls: TLS?
    /// The keys that Calendly signs with: the current one and, during a rotation, the one before. Secret.
    ///
    /// Without any, webhooks are answered 503, because nothing could be believed.
    package var calendlySigningKeys: [String]
    /// How far back the time of a signature may lie. The vendor's samples use 3 minutes.
    package var signatureTolerance: Duration
    package var limits = Limits()
    package var timeouts = Timeouts()
    package var passwords = Passwords()
    /// The proxies before this server, whose `X-Forwarded-For` tells where a client is. The address counts for the throttle
    /// of log-ins and is kept in the record of access.
    package var trustedProxies: [AddressRange] = []
    /// The longest that `Prefer: wait=N` waits; more is cut down to it.
    package var maxWait: Duration = .seconds(10)
    /// How long requests in hand may take once the server is told to stop.
    package var shutdownDeadline: Duration = .seconds(20)
    /// Threads that run connections; nil takes one per core.
    package var eventLoopThreads: Int?
    /// Whether this serves customers: start-up then insists on a signing key, and answers over TLS tell browsers to
    /// stay with it.
    package var isProduction: Bool

    package init(
        address: Address = Address(), tls: TLS? = nil, calendlySigningKeys: [String] = [],
        signatureTolerance: Duration = .seconds(180), isProduction: Bool = false
    ) {
        self.address = address
        self.tls = tls
        self.calendlySigningKeys = calendlySigningKeys
        self.signatureTolerance = signatureTolerance
        self.isProduction = isProduction
    }

    /// Browsers send cookies that are marked so over TLS alone. Unmarked ones are for a developer's own machine: never in
    /// production, and never where another machine could listen.
    var isSessionCookieSecure: Bool {
        isProduction || tls != nil || !["127.0.0.1", "::1", "localhost"].contains(address.host)
    }

    /// - Throws: `IngressError` (`invalidConfiguration`) that names the setting.
    package func validate() throws(IngressError) {
        func require(_ claim: Bool, _ message: String) throws(IngressError) {
            if !claim { throw IngressError(.invalidConfiguration, message) }
        }
        try require((0...65_535).contains(address.port), "the HTTP port \(address.port) is not within 0 to 65535")
        try require(!address.host.isEmpty, "the HTTP address names no host; use 127.0.0.1 or 0.0.0.0")
        try require(
            calendlySigningKeys.allSatisfy { !$0.isEmpty }, "CALENDLY_WEBHOOK_SIGNING_KEY is set but empty; remove it")
        try require(
            !isProduction || !calendlySigningKeys.isEmpty,
            "CALENDLY_WEBHOOK_SIGNING_KEY is not set; without it no webhook can be believed")
        try require(signatureTolerance > .zero, "the signature tolerance must be longer than zero")
        try require(eventLoopThreads.map { (1...256).contains($0) } ?? true, "event loop threads must be 1 to 256")
        try require(
            passwords.atOnce > 0 && passwords.maxWaiting >= 0, "at least one password must be checked at once")
        try require(limits.maxConnections > 0, "the connection limit must be at least 1")
    }
}

/// Why the ingress cannot start.
package struct IngressError: Error, Sendable, CustomStringConvertible {
    /// The kind of failure; new kinds may be added.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        package let rawValue: String

        package var description: String { rawValue }

        package static let invalidConfiguration = Code(rawValue: "invalid_configuration")
        /// The address cannot be listened on.
        package static let cannotListen = Code(rawValue: "cannot_listen")
        /// The certificate or its key cannot be used.
        package static let invalidCertificate = Code(rawValue: "invalid_certificate")
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Safe to log.
    package var description: String { message }
}
