/// Why a publish did not end in a confirm.
package struct PublishError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Kind: Hashable, Sendable {
        /// No queue took the mandatory message (312 NO_ROUTE); the broker has not kept it.
        case returned(replyCode: UInt16, replyText: String)
        /// The broker refused it (basic.nack), for example because a queue is full; it has not kept it everywhere.
        case refused
        /// It was sent, but the connection broke or the confirm did not come in time: it may or may not be stored.
        /// Publish it again under the same message id, and let the receiver drop the duplicate.
        case unknown
        /// Not connected, blocked by the broker, or shutting down. Nothing was sent.
        case unavailable
        /// The window is full. Nothing was sent.
        case overloaded
        /// The waiting task was cancelled. If it had been sent by then, it may be stored.
        case cancelled
        /// It cannot be put on the wire: a text too long, headers too large or too deep, a body too large.
        case invalid(reason: String)
    }

    package let kind: Kind
    /// What happened to the connection, when that is the cause.
    package let underlying: AMQPError?

    package init(_ kind: Kind, underlying: AMQPError? = nil) {
        self.kind = kind
        self.underlying = underlying
    }

    /// Whether the broker may hold the message although the publish failed.
    package var mayBeStored: Bool {
        switch kind {
        case .unknown, .cancelled, .refused: true
        case .returned, .unavailable, .overloaded, .invalid: false
        }
    }

    package var description: String {
        let cause = underlying.map { ": \($0)" } ?? ""
        return switch kind {
        case .returned(let code, let text): "returned by the broker as unroutable (\(code) \(text))"
        case .refused: "refused by the broker (basic.nack)"
        case .unknown: "sent but not confirmed, may or may not be stored\(cause)"
        case .unavailable: "no connection that takes publishes, nothing was sent\(cause)"
        case .overloaded: "too many publishes in flight, nothing was sent"
        case .cancelled: "cancelled while waiting for the confirm"
        case .invalid(let reason): "cannot be sent: \(reason)"
        }
    }
}
