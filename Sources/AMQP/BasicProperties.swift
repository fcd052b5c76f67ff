/// The properties of a message (AMQP 0-9-1, class basic). Texts are at most 255 bytes of UTF-8.
package struct BasicProperties: Sendable, Hashable {
    package var contentType: String?
    package var contentEncoding: String?
    package var headers: FieldTable
    /// Delivery mode 2: the broker keeps the message across a restart.
    package var isPersistent: Bool
    package var priority: UInt8?
    package var correlationID: String?
    package var replyTo: String?
    /// Time to live in milliseconds, as decimal text.
    package var expiration: String?
    package var messageID: String?
    /// Seconds since 1970.
    package var timestamp: UInt64?
    package var type: String?
    /// The broker refuses the message (406, which costs the channel) unless this is the connection's user.
    package var userID: String?
    package var appID: String?

    package init(
        contentType: String? = nil, contentEncoding: String? = nil, headers: FieldTable = [:],
        isPersistent: Bool = true, priority: UInt8? = nil, correlationID: String? = nil, replyTo: String? = nil,
        expiration: String? = nil, messageID: String? = nil, timestamp: UInt64? = nil, type: String? = nil,
        userID: String? = nil, appID: String? = nil
    ) {
        self.contentType = contentType
        self.contentEncoding = contentEncoding
        self.headers = headers
        self.isPersistent = isPersistent
        self.priority = priority
        self.correlationID = correlationID
        self.replyTo = replyTo
        self.expiration = expiration
        self.messageID = messageID
        self.timestamp = timestamp
        self.type = type
        self.userID = userID
        self.appID = appID
    }
}
