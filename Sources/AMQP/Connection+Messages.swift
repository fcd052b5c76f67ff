import CRabbitMQ

extension Connection {
    /// Takes one message, to be settled; nil if none is ready. Every look counts as a delivery for the queue's limit.
    package func get(_ queue: String) throws(AMQPError) -> Delivery? {
        try check([queue], [:])
        let link = try readyLink()
        let answer: amqp_method_t
        do throws(AMQPError) {
            answer = try link.exchange(
                AMQP_BASIC_GET_METHOD, [AMQP_BASIC_GET_OK_METHOD, AMQP_BASIC_GET_EMPTY_METHOD],
                request: { arena in amqp_basic_get_t(ticket: 0, queue: arena.bytes(queue), no_ack: 0) })
        } catch {
            throw note(error)
        }
        guard answer.id == AMQP_BASIC_GET_OK_METHOD else { return nil }
        let content = try awaitContent(startingWith: Incoming(method: answer), link)
        guard case .gotMessage(let tag, let isRedelivered, let exchange, let routingKey) = content.method else {
            throw note(AMQPError(.protocolViolation, "another message than the one asked for"))
        }
        return Delivery(
            queue: queue, consumerTag: "", deliveryTag: tag, epoch: epoch, isRedelivered: isRedelivered,
            exchange: exchange, routingKey: routingKey, properties: content.properties, body: content.body)
    }

    private func awaitContent(
        startingWith method: Incoming, _ link: Link
    ) throws(AMQPError) -> ContentAssembler.Content {
        _ = try assembler.accept(method)
        let end = ContinuousClock.now + link.rpcTimeout
        do throws(AMQPError) {
            while ContinuousClock.now < end {
                guard let incoming = try link.next(wait: max(.zero, end - .now)) else { continue }
                if let content = try assembler.accept(incoming) { return content }
            }
        } catch {
            throw note(error)
        }
        let error = AMQPError(.timedOut, "the message did not arrive whole")
        drop(error)
        throw error
    }

    package func acknowledge(_ delivery: Delivery) throws(AMQPError) {
        try settle(delivery) { (link) throws(AMQPError) in try link.acknowledge(delivery.deliveryTag, multiple: false) }
    }

    package func reject(_ delivery: Delivery, requeue: Bool) throws(AMQPError) {
        try settle(delivery) { (link) throws(AMQPError) in
            if requeue { try link.requeue(delivery.deliveryTag) } else { try link.reject(delivery.deliveryTag) }
        }
    }

    /// Settlements of a channel that is gone are left out: its messages went back to their queues.
    private func settle(_ delivery: Delivery, _ settle: (Link) throws(AMQPError) -> Void) throws(AMQPError) {
        let link = try readyLink()
        guard delivery.epoch == epoch else { return }
        do throws(AMQPError) {
            try settle(link)
        } catch {
            throw note(error)
        }
    }

    /// Sends a message and waits for its confirm, at most `rpcTimeout`. One at a time: many go through `Publisher`.
    ///
    /// Without a confirm in time the connection is given up: what the broker says late would be taken for the next one's.
    package func publish(_ publication: Publication) throws(PublishError) {
        let link: Link
        do throws(AMQPError) {
            link = try readyLink()
        } catch {
            throw PublishError(.unavailable, underlying: error)
        }
        if let objection = WireSize.objection(to: publication, frameMax: link.frameMax) {
            throw PublishError(.invalid(reason: objection))
        }
        do throws(AMQPError) {
            if !isConfirming {
                try link.selectConfirms()
                isConfirming = true
            }
            try link.checkSilence()
        } catch {
            throw PublishError(.unavailable, underlying: note(error))
        }
        var outcome: ConfirmWindow<Publication>.Outcome?
        confirms.send(publication)
        do throws(AMQPError) {
            try link.publish(publication, deadline: .now + link.rpcTimeout)
            // Sends a last body frame that the library holds back because it exactly fills a frame.
            link.socket.cork(false)
            let end = ContinuousClock.now + link.rpcTimeout
            while outcome == nil, ContinuousClock.now < end {
                guard let incoming = try link.next(wait: max(.zero, end - .now)) else { continue }
                switch incoming {
                case .acknowledge(let tag, let multiple):
                    _ = confirms.settle(tag, multiple: multiple, isRefused: false) { outcome = $1 }
                case .refuse(let tag, let multiple):
                    _ = confirms.settle(tag, multiple: multiple, isRefused: true) { outcome = $1 }
                default:
                    try handle(incoming)
                }
            }
        } catch {
            throw PublishError(.unknown, underlying: note(error))
        }
        switch outcome {
        case .confirmed: return
        case .refused: throw PublishError(.refused)
        case .returned(let code, let text): throw PublishError(.returned(replyCode: code, replyText: text))
        case nil:
            let error = AMQPError(.timedOut, "no confirm in time")
            drop(note(error))
            throw PublishError(.unknown, underlying: error)
        }
    }
}
