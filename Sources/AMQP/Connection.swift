package import Logging

/// A connection with one channel, for topology and tools; it does not reconnect.
package actor Connection {
    package enum ExchangeKind: String, Sendable { case direct, fanout, topic, headers }

    /// What a queue held when it was declared.
    package struct QueueStatus: Sendable, Hashable {
        package let name: String
        package let messageCount: Int
        package let consumerCount: Int
    }

    package static func open(_ configuration: AMQPConfiguration, logger: Logger) async throws(AMQPError) -> Connection {
        throw AMQPError(.closed, "")
    }

    package func declareExchange(
        _ name: String, kind: ExchangeKind, isDurable: Bool = true, isAutoDelete: Bool = false,
        isInternal: Bool = false, arguments: FieldTable = [:]
    ) throws(AMQPError) {}

    package func checkExchange(_ name: String) throws(AMQPError) {}

    package func deleteExchange(_ name: String, ifUnused: Bool = false) throws(AMQPError) {}

    @discardableResult
    package func declareQueue(
        _ name: String, isDurable: Bool = true, isExclusive: Bool = false, isAutoDelete: Bool = false,
        arguments: FieldTable = [:]
    ) throws(AMQPError) -> QueueStatus { throw AMQPError(.closed, "") }

    @discardableResult
    package func checkQueue(_ name: String) throws(AMQPError) -> QueueStatus { throw AMQPError(.closed, "") }

    @discardableResult
    package func deleteQueue(_ name: String, ifUnused: Bool = false, ifEmpty: Bool = false) throws(AMQPError) -> Int { 0 }

    @discardableResult
    package func purge(_ queue: String) throws(AMQPError) -> Int { 0 }

    package func bind(queue: String, to exchange: String, routingKey: String, arguments: FieldTable = [:])
        throws(AMQPError)
    {}

    package func unbind(queue: String, from exchange: String, routingKey: String, arguments: FieldTable = [:])
        throws(AMQPError)
    {}

    package func bind(exchange: String, to source: String, routingKey: String, arguments: FieldTable = [:])
        throws(AMQPError)
    {}

    package func unbind(exchange: String, from source: String, routingKey: String, arguments: FieldTable = [:])
        throws(AMQPError)
    {}

    package func get(_ queue: String) throws(AMQPError) -> Delivery? { nil }

    package func acknowledge(_ delivery: Delivery) throws(AMQPError) {}

    package func reject(_ delivery: Delivery, requeue: Bool) throws(AMQPError) {}

    package func publish(_ publication: Publication) throws(PublishError) {}

    package func close(within limit: Duration = .seconds(5)) async {}
}
