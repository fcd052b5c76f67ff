// One queue at a time: its type, its limits, and what its role allows.
extension StaticCheck {
    func typeFindings(_ name: String, _ queue: Queue) -> [Finding] {
        var found: [Finding] = []
        if queue.type != "quorum" {
            found.append(
                Finding(
                    .notQuorum, "queue \(name)", "its type is \(queue.type): no delivery limit, no safe dead-lettering",
                    remedy: "declare it with x-queue-type quorum"))
        }
        if !queue.isDurable || queue.isAutoDelete {
            found.append(
                Finding(
                    .notDurable, "queue \(name)", "it goes away with the broker or its last consumer",
                    remedy: "make it durable and not auto-delete"))
        }
        return found
    }

    func lengthFindings(_ name: String) -> [Finding] {
        let settings = policies.settings(of: name)
        if settings.maxLength == nil, settings.maxLengthBytes == nil {
            return [
                Finding(
                    .unboundedQueue, "queue \(name)", "it grows until the broker's disk alarm stops every publisher",
                    remedy: "set max-length in its policy")
            ]
        }
        switch settings.overflow {
        case "reject-publish":
            return []
        case "reject-publish-dlx":
            return [
                Finding(
                    .rejectPublishDeadLetter, "queue \(name)",
                    "a quorum queue takes overflow reject-publish-dlx but acts as drop-head: publishers get their "
                        + "confirms while the oldest messages leave",
                    remedy: "use overflow reject-publish")
            ]
        default:
            return [
                Finding(
                    .dropsHead, "queue \(name)", "when it is full, its oldest message leaves to make room",
                    remedy: "use overflow reject-publish, so that the publisher hears of it")
            ]
        }
    }

    func deliveryLimitFindings(_ name: String, _ role: Queue.Role) -> [Finding] {
        let limit = policies.settings(of: name).deliveryLimit
        if let limit, limit < 0, version < BrokerVersion(4, 0) {
            return [
                Finding(
                    .unlimitedDeliveries, "queue \(name)",
                    "RabbitMQ \(version) deletes a message on its first return when the delivery limit is \(limit)",
                    remedy: "set a limit of 1 or more; \"unlimited\" exists from 4.0 on")
            ]
        }
        if role == .work, limit ?? 0 == 0 {
            return [
                Finding(
                    .missingDeliveryLimit, "queue \(name)",
                    limit == nil
                        ? "a message that kills its worker comes back for ever"
                        : "with limit 0 the first crash of a worker kills everything it had in hand",
                    remedy: "set delivery-limit in its policy, high enough to outlast lost connections, such as 100")
            ]
        }
        return []
    }

    func roleFindings(_ name: String, _ role: Queue.Role) -> [Finding] {
        let settings = policies.settings(of: name)
        switch role {
        case .work:
            guard settings.messageTTL != nil else { return [] }
            return [
                Finding(
                    .workQueueExpires, "queue \(name)", "messages die unhandled when the workers are slow or away",
                    remedy: "take message-ttl away")
            ]
        case .tier(let owner):
            return tierFindings(name, owner, settings)
        case .terminal:
            return terminalFindings(name, settings)
        }
    }

    private func tierFindings(_ name: String, _ owner: String, _ settings: QueueSettings) -> [Finding] {
        var found: [Finding] = []
        if settings.messageTTL == nil {
            found.append(
                Finding(
                    .tierWithoutTTL, "queue \(name)",
                    "a message either never leaves, or brings its own expiration and then waits behind longer ones "
                        + "(only the head of a queue expires)",
                    remedy: "set message-ttl in its policy: one queue for each delay"))
        }
        if let exchange = settings.deadLetterExchange, !exchange.isEmpty {
            found.append(
                Finding(
                    .tierReturnsThroughBinding, "queue \(name)",
                    "it returns messages through the exchange \(exchange): when a binding is lost, 32 undeliverable "
                        + "messages block the whole tier, unseen",
                    remedy: "set dead-letter-exchange to \"\" (the default exchange) and the routing key to \(owner)"))
        }
        if let key = settings.deadLetterRoutingKey, key != owner {
            found.append(
                Finding(
                    .sharedTier, "queue \(name)", "it belongs to \(owner) but returns its messages to \(key)",
                    remedy: "give every work queue tiers of its own"))
        }
        for binding in state.bindings where binding.destination == name && binding.routingKey != name {
            found.append(
                Finding(
                    .sharedTier, "queue \(name)",
                    "the key \(binding.routingKey) of the exchange \(binding.source) leads here as well",
                    remedy: "bind a tier by its own name only"))
        }
        return found
    }

    private func terminalFindings(_ name: String, _ settings: QueueSettings) -> [Finding] {
        var leaks: [String] = []
        if settings.messageTTL != nil { leaks.append("message-ttl") }
        if settings.deadLetterExchange != nil { leaks.append("dead-letter-exchange") }
        if let limit = settings.deliveryLimit {
            // From 4.0 on a queue without a limit has 20, so there one has to be set, out of reach.
            if version < BrokerVersion(4, 0) || (0..<Self.outOfReach).contains(limit) { leaks.append("delivery-limit") }
        } else if version >= BrokerVersion(4, 0) {
            leaks.append("the default delivery limit of 20")
        }
        guard !leaks.isEmpty else { return [] }
        return [
            Finding(
                .terminalLosesMessages, "queue \(name)",
                "messages are to rest here, but leave by themselves through \(leaks.joined(separator: " and ")); "
                    + "even looking at one counts as a delivery",
                remedy: version < BrokerVersion(4, 0)
                    ? "take it out of the policy" : "set delivery-limit to \(Self.outOfReach) in its policy")
        ]
    }

    /// A delivery limit that no amount of looking at a message will meet.
    static let outOfReach = 1_000_000
}
