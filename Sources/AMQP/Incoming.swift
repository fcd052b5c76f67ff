/// What one frame from the broker means, copied out of the library's memory.
enum Incoming: Sendable, Equatable {
    case deliver(consumerTag: String, deliveryTag: UInt64, isRedelivered: Bool, exchange: String, routingKey: String)
    case returned(replyCode: UInt16, replyText: String, exchange: String, routingKey: String)
    case gotMessage(deliveryTag: UInt64, isRedelivered: Bool, exchange: String, routingKey: String)
    case header(bodySize: UInt64, BasicProperties)
    case body([UInt8])
    case acknowledge(tag: UInt64, multiple: Bool)
    case refuse(tag: UInt64, multiple: Bool)
    /// The broker ended a subscription.
    case cancel(consumerTag: String)
    case blocked(reason: String)
    case unblocked
    case channelClosed(replyCode: UInt16, replyText: String)
    case connectionClosed(replyCode: UInt16, replyText: String)
    /// A frame that means nothing to us, such as a leftover of the probing channel.
    case other
}
