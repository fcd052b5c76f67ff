/// What went wrong between us and the broker.
///
/// `description` is safe to log: it never holds a password, a body or a header.
package struct AMQPError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind of failure, to decide by; new kinds may be added.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        package let description: String

        /// The address or an argument cannot be used; nothing was sent.
        package static let invalidArgument = Code(description: "invalid_argument")
        /// Nobody answers at the address: name unknown, connection refused, or no answer in time.
        package static let unreachable = Code(description: "unreachable")
        /// The TLS handshake failed: certificate not trusted, expired, refused, or a file of ours unusable.
        package static let tls = Code(description: "tls")
        /// The broker's certificate is genuine but made out to another name.
        package static let tlsNameMismatch = Code(description: "tls_name_mismatch")
        /// User name or password are wrong (403 at login), or the mechanism is not offered.
        package static let authenticationRefused = Code(description: "authentication_refused")
        /// The virtual host does not exist, or the user may not enter it (530 at login).
        package static let virtualHostRefused = Code(description: "virtual_host_refused")
        /// The user lacks a permission (403 on a channel).
        package static let accessRefused = Code(description: "access_refused")
        /// The exchange or queue does not exist (404).
        package static let notFound = Code(description: "not_found")
        /// The queue is exclusive to, or locked by, another connection (405).
        package static let resourceLocked = Code(description: "resource_locked")
        /// It exists with other arguments, or a delivery tag is unknown (406).
        package static let preconditionFailed = Code(description: "precondition_failed")
        /// Another error reply of the broker; `replyCode` tells which.
        package static let refused = Code(description: "refused")
        /// The broker closed the connection, for example because an operator asked it to (320).
        package static let closedByBroker = Code(description: "closed_by_broker")
        /// The connection broke.
        package static let connectionLost = Code(description: "connection_lost")
        /// Nothing was heard from the broker for two heartbeats, or a write made no progress for one.
        package static let peerSilent = Code(description: "peer_silent")
        /// The broker did not answer a request in time.
        package static let timedOut = Code(description: "timed_out")
        /// The peer broke the protocol.
        package static let protocolViolation = Code(description: "protocol_violation")
        /// The broker ended a subscription, most often because its queue was deleted.
        package static let consumerCancelled = Code(description: "consumer_cancelled")
        /// It was closed by us before.
        package static let closed = Code(description: "closed")
    }

    package let code: Code
    /// One line for an operator: what happened and, where we know, what to do.
    package let message: String
    /// The broker's reply code (AMQP 0-9-1 section 1.7), when it sent one.
    package let replyCode: UInt16?

    package init(_ code: Code, _ message: String, replyCode: UInt16? = nil) {
        self.code = code
        self.message = message
        self.replyCode = replyCode
    }

    /// Whether the same call may succeed later without anybody changing a configuration.
    package var isRetriable: Bool {
        switch code {
        case .unreachable, .connectionLost, .closedByBroker, .peerSilent, .timedOut, .consumerCancelled,
            .resourceLocked:
            true
        default:
            false
        }
    }

    package var description: String {
        if let replyCode { "\(code) (\(replyCode)): \(message)" } else { "\(code): \(message)" }
    }
}
