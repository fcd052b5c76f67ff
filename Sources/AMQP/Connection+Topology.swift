import CRabbitMQ

extension Connection {
    package enum ExchangeKind: String, Sendable { case direct, fanout, topic, headers }

    /// What a queue held when it was asked.
    package struct QueueStatus: Sendable, Hashable {
        package let name: String
        /// Ready messages, without those delivered and unsettled.
        package let messageCount: Int
        package let consumerCount: Int
    }

    // MARK: Exchanges

    /// Creates an exchange; nothing happens if it exists like that.
    ///
    /// - Throws: `preconditionFailed` if it exists otherwise, `accessRefused`.
    package func declareExchange(
        _ name: String, kind: ExchangeKind, isDurable: Bool = true, isAutoDelete: Bool = false,
        isInternal: Bool = false, arguments: FieldTable = [:]
    ) throws(AMQPError) {
        try check([name], arguments)
        try declareExchange(
            name, kind: kind.rawValue, passive: 0, isDurable: isDurable, isAutoDelete: isAutoDelete,
            isInternal: isInternal, arguments: arguments)
    }

    /// Asks whether an exchange exists (a passive declare).
    ///
    /// - Throws: `notFound`.
    package func checkExchange(_ name: String) throws(AMQPError) {
        try check([name], [:])
        try declareExchange(
            name, kind: "direct", passive: 1, isDurable: false, isAutoDelete: false, isInternal: false, arguments: [:])
    }

    private func declareExchange(
        _ name: String, kind: String, passive: amqp_boolean_t, isDurable: Bool, isAutoDelete: Bool, isInternal: Bool,
        arguments: FieldTable
    ) throws(AMQPError) {
        try call(
            AMQP_EXCHANGE_DECLARE_METHOD, AMQP_EXCHANGE_DECLARE_OK_METHOD
        ) { arena in
            amqp_exchange_declare_t(
                ticket: 0, exchange: arena.bytes(name), type: arena.bytes(kind), passive: passive,
                durable: isDurable ? 1 : 0, auto_delete: isAutoDelete ? 1 : 0, internal: isInternal ? 1 : 0,
                nowait: 0, arguments: arena.table(arguments))
        }
    }

    /// Deletes an exchange; nothing happens if there is none.
    package func deleteExchange(_ name: String, ifUnused: Bool = false) throws(AMQPError) {
        try check([name], [:])
        try call(
            AMQP_EXCHANGE_DELETE_METHOD, AMQP_EXCHANGE_DELETE_OK_METHOD
        ) { arena in
            amqp_exchange_delete_t(ticket: 0, exchange: arena.bytes(name), if_unused: ifUnused ? 1 : 0, nowait: 0)
        }
    }

    // MARK: Queues

    /// Creates a queue; nothing happens if it exists like that. An empty name lets the broker choose one.
    ///
    /// RabbitMQ 3.10 takes arguments that it does not know without a word.
    ///
    /// - Throws: `preconditionFailed` if it exists with other arguments, `resourceLocked`, `accessRefused`.
    @discardableResult
    package func declareQueue(
        _ name: String, isDurable: Bool = true, isExclusive: Bool = false, isAutoDelete: Bool = false,
        arguments: FieldTable = [:]
    ) throws(AMQPError) -> QueueStatus {
        try declareQueue(
            name, passive: 0, isDurable: isDurable, isExclusive: isExclusive, isAutoDelete: isAutoDelete,
            arguments: arguments)
    }

    /// Asks for a queue (a passive declare).
    ///
    /// - Throws: `notFound`.
    @discardableResult
    package func checkQueue(_ name: String) throws(AMQPError) -> QueueStatus {
        try declareQueue(name, passive: 1, isDurable: false, isExclusive: false, isAutoDelete: false, arguments: [:])
    }

    private func declareQueue(
        _ name: String, passive: amqp_boolean_t, isDurable: Bool, isExclusive: Bool, isAutoDelete: Bool,
        arguments: FieldTable
    ) throws(AMQPError) -> QueueStatus {
        try check([name], arguments)
        return try call(
            AMQP_QUEUE_DECLARE_METHOD, AMQP_QUEUE_DECLARE_OK_METHOD
        ) { arena in
            amqp_queue_declare_t(
                ticket: 0, queue: arena.bytes(name), passive: passive, durable: isDurable ? 1 : 0,
                exclusive: isExclusive ? 1 : 0, auto_delete: isAutoDelete ? 1 : 0, nowait: 0,
                arguments: arena.table(arguments))
        } read: { (reply: amqp_queue_declare_ok_t) in
            QueueStatus(
                name: String(reply.queue), messageCount: Int(reply.message_count),
                consumerCount: Int(reply.consumer_count))
        }
    }

    /// Deletes a queue with its messages; answers how many there were. Nothing happens if there is none.
    @discardableResult
    package func deleteQueue(_ name: String, ifUnused: Bool = false, ifEmpty: Bool = false) throws(AMQPError) -> Int {
        try check([name], [:])
        return try call(
            AMQP_QUEUE_DELETE_METHOD, AMQP_QUEUE_DELETE_OK_METHOD
        ) { arena in
            amqp_queue_delete_t(
                ticket: 0, queue: arena.bytes(name), if_unused: ifUnused ? 1 : 0, if_empty: ifEmpty ? 1 : 0,
                nowait: 0)
        } read: { (reply: amqp_queue_delete_ok_t) in
            Int(reply.message_count)
        }
    }

    /// Drops the ready messages of a queue; answers how many there were.
    @discardableResult
    package func purge(_ queue: String) throws(AMQPError) -> Int {
        try check([queue], [:])
        return try call(
            AMQP_QUEUE_PURGE_METHOD, AMQP_QUEUE_PURGE_OK_METHOD
        ) { arena in
            amqp_queue_purge_t(ticket: 0, queue: arena.bytes(queue), nowait: 0)
        } read: { (reply: amqp_queue_purge_ok_t) in
            Int(reply.message_count)
        }
    }

    // MARK: Bindings

    package func bind(
        queue: String, to exchange: String, routingKey: String, arguments: FieldTable = [:]
    ) throws(AMQPError) {
        try check([queue, exchange, routingKey], arguments)
        try call(
            AMQP_QUEUE_BIND_METHOD, AMQP_QUEUE_BIND_OK_METHOD
        ) { arena in
            amqp_queue_bind_t(
                ticket: 0, queue: arena.bytes(queue), exchange: arena.bytes(exchange),
                routing_key: arena.bytes(routingKey), nowait: 0, arguments: arena.table(arguments))
        }
    }

    package func unbind(
        queue: String, from exchange: String, routingKey: String, arguments: FieldTable = [:]
    ) throws(AMQPError) {
        try check([queue, exchange, routingKey], arguments)
        try call(
            AMQP_QUEUE_UNBIND_METHOD, AMQP_QUEUE_UNBIND_OK_METHOD
        ) { arena in
            amqp_queue_unbind_t(
                ticket: 0, queue: arena.bytes(queue), exchange: arena.bytes(exchange),
                routing_key: arena.bytes(routingKey), arguments: arena.table(arguments))
        }
    }

    /// Lets `exchange` receive what `source` routes by the key.
    package func bind(
        exchange: String, to source: String, routingKey: String, arguments: FieldTable = [:]
    ) throws(AMQPError) {
        try check([exchange, source, routingKey], arguments)
        try call(
            AMQP_EXCHANGE_BIND_METHOD, AMQP_EXCHANGE_BIND_OK_METHOD
        ) { arena in
            amqp_exchange_bind_t(
                ticket: 0, destination: arena.bytes(exchange), source: arena.bytes(source),
                routing_key: arena.bytes(routingKey), nowait: 0, arguments: arena.table(arguments))
        }
    }

    package func unbind(
        exchange: String, from source: String, routingKey: String, arguments: FieldTable = [:]
    ) throws(AMQPError) {
        try check([exchange, source, routingKey], arguments)
        try call(
            AMQP_EXCHANGE_UNBIND_METHOD, AMQP_EXCHANGE_UNBIND_OK_METHOD
        ) { arena in
            amqp_exchange_unbind_t(
                ticket: 0, destination: arena.bytes(exchange), source: arena.bytes(source),
                routing_key: arena.bytes(routingKey), nowait: 0, arguments: arena.table(arguments))
        }
    }
}
