/// The server's acceptance of a message.
package struct SMTPReceipt: Sendable, Equatable {
    /// The reply to the final dot, `250 ...`; it often holds the server's queue id.
    package let reply: String
    /// The reply code, 2yz.
    package let code: Int

    /// Makes a receipt, for fakes.
    package init(reply: String, code: Int) {
        self.reply = reply
        self.code = code
    }
}

/// What became of one mail of several.
package struct SMTPDelivery: Sendable {
    /// Whom the mail was for.
    package let recipient: Mailbox
    /// The mail's message id.
    package let messageID: String
    /// The server's acceptance, or why there is none.
    package let result: Result<SMTPReceipt, SMTPError>
}
