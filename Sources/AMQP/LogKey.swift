/// Metadata keys of this module.
enum LogKey {
    static let connection = "amqp.connection"
    static let epoch = "amqp.epoch"
    static let error = "error"
    static let queue = "amqp.queue"
    static let retryIn = "retry.in"
    static let deliveryTag = "amqp.delivery_tag"
}
