/// Why a message was not accepted, or not known to be.
///
/// The description is safe to log: e-mail addresses in the server's text are masked there. `replyText` has them in full.
package struct SMTPError: Error, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    /// What a sender should do about it.
    package enum Class: Sendable, Hashable {
        /// Try again later, with the same message id. The code is the SMTP reply's, 0 for the network.
        case transient(code: Int)
        /// This message will never be accepted for this address; say so to whoever asked for it.
        case permanent(code: Int)
        /// Credentials, TLS or policy: no message will be accepted. Stop sending and alert.
        case configuration(code: Int)
        /// The message was complete and no reply came: it may have been accepted. A retry may duplicate it.
        case ambiguous
        /// The task was cancelled, or the client closed, before the message was complete: it was not accepted.
        case cancelled
    }

    /// How far the dialogue had come: the command that was being answered.
    package enum Stage: String, Sendable, Comparable {
        case connect, greeting, hello, startTLS, authentication, mailFrom, recipient, data, message, quit

        private var order: Int {
            switch self {
            case .connect: 0
            case .greeting: 1
            case .hello: 2
            case .startTLS: 3
            case .authentication: 4
            case .mailFrom: 5
            case .recipient: 6
            case .data: 7
            case .message: 8
            case .quit: 9
            }
        }

        package static func < (left: Stage, right: Stage) -> Bool { left.order < right.order }
    }

    /// What to do.
    package let `class`: Class
    /// The command that was being answered.
    package let stage: Stage
    /// The SMTP reply code, or 0 if none was read at that stage.
    package let replyCode: Int
    /// The enhanced status code `x.y.z` of RFC 3463, if the reply had one.
    package let enhancedCode: EnhancedStatusCode?
    /// The server's text, at most 500 characters; it may hold addresses.
    package let replyText: String
    /// The library's own words; safe to log.
    package let message: String

    /// Makes an error, for fakes too.
    package init(
        class: Class, stage: Stage, replyCode: Int = 0, enhancedCode: EnhancedStatusCode? = nil, replyText: String = "",
        message: String = ""
    ) {
        self.class = `class`
        self.stage = stage
        self.replyCode = replyCode
        self.enhancedCode = enhancedCode
        self.replyText = String(replyText.prefix(500))
        self.message = message
    }

    /// Whether the server refused for its content or sender policy (5.7.x): worth an alert besides being permanent.
    package var isPolicyRefusal: Bool {
        enhancedCode?.subject == 7 && (500...599).contains(replyCode)
    }

    package var description: String {
        describe(reply: SMTPReply.masked(replyText))
    }

    package var debugDescription: String {
        describe(reply: replyText)
    }

    private func describe(reply: String) -> String {
        let kind =
            switch `class` {
            case .transient: "will be worth another try later"
            case .permanent: "refused for good"
            case .configuration:
                "the mail set-up is wrong, no mail can be sent: check SMTP_URL, credentials and certificates"
            case .ambiguous: "the message was handed over but no reply came; it may have been accepted"
            case .cancelled: "cancelled before the message was complete"
            }
        var parts = ["smtp \(stage.rawValue): \(kind)"]
        if replyCode != 0 { parts.append("reply \(replyCode)" + (reply.isEmpty ? "" : " \(reply)")) }
        if !message.isEmpty { parts.append(message) }
        return parts.joined(separator: "; ")
    }
}
