/// Why a request got no answer.
///
/// The description is safe to log: it names the kind of failure and the library's own words, never a URL, a header or a
/// body.
package struct TransportError: Error, Sendable, CustomStringConvertible {
    /// The kind of failure; more may be added.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        private let name: String

        /// The host name has no address, or the resolver did not answer.
        package static let resolve = Code(name: "resolve")
        /// Nothing accepted the connection.
        package static let connect = Code(name: "connect")
        /// The TLS handshake failed or the certificate is not to be trusted.
        package static let tls = Code(name: "tls")
        /// A deadline of the request passed.
        package static let timeout = Code(name: "timeout")
        /// The answer passed `maxResponseBytes`, or its header passed 256 KiB.
        package static let tooLarge = Code(name: "tooLarge")
        /// The task was cancelled.
        package static let cancelled = Code(name: "cancelled")
        /// The connection broke, or what came back is not the protocol.
        package static let `protocol` = Code(name: "protocol")
        /// The request cannot be sent as it is: its URL, method or a header field is malformed, or its CA file unreadable.
        package static let invalidRequest = Code(name: "invalidRequest")
        /// The client was closed before or while the request ran.
        package static let closed = Code(name: "closed")

        package var description: String { name }
    }

    /// The kind of failure.
    package let code: Code
    /// What the library said, safe to log.
    package let message: String
    /// Whether the request may have reached the server; false is certain.
    package let mayHaveBeenSent: Bool

    /// Makes an error, for fakes too.
    package init(code: Code, message: String, mayHaveBeenSent: Bool = false) {
        self.code = code
        self.message = message
        self.mayHaveBeenSent = mayHaveBeenSent
    }

    /// Whether the same request may succeed later. Ask `mayHaveBeenSent` too before repeating one with an effect.
    package var isRetriable: Bool {
        switch code {
        case .resolve, .connect, .timeout, .protocol: true
        default: false
        }
    }

    package var description: String {
        "http request failed (\(code)): \(message)" + (mayHaveBeenSent ? "; it may have reached the server" : "")
    }
}
