/// A message on its way to the broker.
package struct Publication: Sendable, Hashable {
    /// The exchange; empty for the default exchange, which routes to the queue named by the routing key.
    package var exchange: String
    package var routingKey: String
    package var properties: BasicProperties
    /// At most `Publication.maxBodyBytes`.
    package var body: [UInt8]
    /// Whether the broker hands the message back when no queue takes it. Without it such a message is confirmed and gone.
    package var isMandatory: Bool

    /// RabbitMQ 4's default limit; RabbitMQ 3.10 takes up to 128 MiB.
    package static let maxBodyBytes = 16 << 20

    package init(
        exchange: String, routingKey: String, properties: BasicProperties = BasicProperties(), body: [UInt8],
        isMandatory: Bool = true
    ) {
        self.exchange = exchange
        self.routingKey = routingKey
        self.properties = properties
        self.body = body
        self.isMandatory = isMandatory
    }
}
