/// A message from the broker, to be settled through the consumer it came from.
package struct Delivery: Sendable, Hashable {
    /// The queue of the subscription.
    package var queue: String
    package var consumerTag: String
    /// Counts within one channel; means nothing without `epoch`.
    package var deliveryTag: UInt64
    /// Which incarnation of the connection delivered it. Settlements for an earlier one are ignored: the broker has
    /// taken the message back already.
    package var epoch: UInt64
    /// Whether it may have been delivered before.
    package var isRedelivered: Bool
    package var exchange: String
    package var routingKey: String
    package var properties: BasicProperties
    package var body: [UInt8]

    package init(
        queue: String, consumerTag: String, deliveryTag: UInt64, epoch: UInt64, isRedelivered: Bool, exchange: String,
        routingKey: String, properties: BasicProperties, body: [UInt8]
    ) {
        self.queue = queue
        self.consumerTag = consumerTag
        self.deliveryTag = deliveryTag
        self.epoch = epoch
        self.isRedelivered = isRedelivered
        self.exchange = exchange
        self.routingKey = routingKey
        self.properties = properties
        self.body = body
    }
}
