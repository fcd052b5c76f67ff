extension TopologyDocument {
    /// What a broker of this version is meant to hold. Only `x-queue-type` is a queue argument, because arguments cannot
    /// be changed in place; everything else is in policies.
    /// - Parameter passwords: by role. The hash of a role without one stays unknown.
    package func desiredState(for version: BrokerVersion, passwords: [String: String] = [:]) -> BrokerState {
        var state = BrokerState()
        for (name, entry) in exchanges {
            state.exchanges[name] = Exchange(type: entry.type)
            if let alternate = entry.alternate {
                state.policies["exchange.\(name)"] = Policy(
                    pattern: Policy.pattern(exactly: name), appliesTo: "exchanges", priority: policyPriority,
                    definition: ["alternate-exchange": .string(alternate)])
            }
        }
        for (name, queue) in workQueues { expand(name, queue, version, into: &state) }
        for (name, queue) in terminalQueues {
            add(name, .terminal, terminalSettings(maxLength: queue.maxLength, version), to: &state)
            bind(name, queue.bindings, in: &state)
        }
        for (role, entry) in roles {
            let user = Self.user(of: role)
            state.users[user] = User(tags: Set(entry.tags), passwordHash: passwords[role].map { PasswordHash($0) })
            state.permissions[user] = entry.permission
        }
        return state
    }

    private func expand(_ name: String, _ queue: WorkQueue, _ version: BrokerVersion, into state: inout BrokerState) {
        // The delivery limit leads to the terminal queue only, never to a tier: the broker destroys a message that
        // would go round a circle without ever having been rejected.
        add(
            name, .work,
            [
                "delivery-limit": .integer(queue.deliveryLimit),
                "max-length": .integer(queue.maxLength),
                "overflow": "reject-publish",
                "dead-letter-exchange": .string(deadLetters.exchange),
                "dead-letter-routing-key": .string(name),
                "dead-letter-strategy": "at-least-once",
            ], to: &state)
        bind(name, queue.bindings, in: &state)

        let dead = Self.deadLetterQueue(of: name)
        add(dead, .terminal, terminalSettings(maxLength: deadLetters.maxLength, version), to: &state)
        state.bindings.insert(Binding(source: deadLetters.exchange, destination: dead, routingKey: name))

        for sibling in retryTiers(of: name).flatMap(\.siblings) {
            // Back through the default exchange with a fixed key: no binding can be lost on the way home.
            add(
                sibling.queue, .tier(of: name),
                [
                    "message-ttl": .integer(Int(sibling.delay.components.seconds) * 1_000),
                    "max-length": .integer(retry.maxLength),
                    "overflow": "reject-publish",
                    "dead-letter-exchange": "",
                    "dead-letter-routing-key": .string(name),
                    "dead-letter-strategy": "at-least-once",
                ], to: &state)
            state.bindings.insert(
                Binding(source: retry.exchange, destination: sibling.queue, routingKey: sibling.queue))
        }
    }

    private func terminalSettings(maxLength: Int, _ version: BrokerVersion) -> Arguments {
        var settings: Arguments = ["max-length": .integer(maxLength), "overflow": "reject-publish"]
        // From 4.0 on a queue without a delivery limit gets 20, and looking at a message counts.
        if version >= BrokerVersion(4, 0) { settings["delivery-limit"] = .integer(StaticCheck.outOfReach) }
        return settings
    }

    private func add(_ name: String, _ role: Queue.Role, _ settings: Arguments, to state: inout BrokerState) {
        state.queues[name] = Queue(role: role)
        state.policies["queue.\(name)"] = Policy(
            pattern: Policy.pattern(exactly: name), appliesTo: "queues", priority: policyPriority, definition: settings)
    }

    private func bind(_ queue: String, _ bindings: [String: [String]], in state: inout BrokerState) {
        for (exchange, keys) in bindings {
            for key in keys {
                state.bindings.insert(Binding(source: exchange, destination: queue, routingKey: key))
            }
        }
    }
}
