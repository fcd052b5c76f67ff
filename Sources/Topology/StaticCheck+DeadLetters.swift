// Where messages go when they die: every hop safe, no hop missing, no circle.
extension StaticCheck {
    func deadLetterFindings(_ name: String, _ role: Queue.Role) -> [Finding] {
        let settings = policies.settings(of: name)
        guard let exchange = settings.deadLetterExchange else {
            if role == .terminal { return [] }
            return [
                Finding(
                    .missingDeath, "queue \(name)",
                    "a message that is rejected, expires or meets the delivery limit is thrown away",
                    remedy: "set dead-letter-exchange and dead-letter-routing-key in its policy")
            ]
        }
        var found: [Finding] = []
        if settings.deadLetterStrategy != "at-least-once" || settings.overflow != "reject-publish" {
            let reason =
                settings.deadLetterStrategy != "at-least-once"
                ? "dead-letter-strategy is not at-least-once"
                : "overflow is not reject-publish, so the broker silently falls back to at-most-once"
            found.append(
                Finding(
                    .atMostOnceHop, "queue \(name)", "dead letters may be lost on the way: \(reason)",
                    remedy: "set dead-letter-strategy at-least-once and overflow reject-publish in its policy"))
        }
        if !exchange.isEmpty, state.exchanges[exchange] == nil {
            found.append(
                Finding(
                    .deadLetterExchangeMissing, "queue \(name)",
                    "its dead-letter exchange \(exchange) does not exist: dead letters vanish without a trace",
                    remedy: "declare the exchange, or name one that exists"))
        } else if let key = settings.deadLetterRoutingKey {
            if state.queues(reachedFrom: exchange, routingKey: key).isEmpty {
                found.append(
                    Finding(
                        .deadLetterUnroutable, "queue \(name)",
                        "dead letters go to \(place(exchange)) with key \(key), where no queue takes them",
                        remedy: "bind a terminal queue with that key"))
            }
        } else {
            found.append(
                Finding(
                    .deadLetterKeyNotFixed, "queue \(name)",
                    "dead letters keep the key they came with, so where they go depends on who sent them",
                    remedy: "set dead-letter-routing-key in its policy"))
        }
        return found
    }

    private func place(_ exchange: String) -> String {
        exchange.isEmpty ? "the default exchange" : "the exchange \(exchange)"
    }

    /// The broker destroys a message that would go round a circle in which nobody rejected it (or, at-least-once, keeps
    /// it stuck for ever), so no circle may close by itself. One that needs a rejection works only until the delivery
    /// limit is met instead, so it is refused too: a retry is an explicit publish to a tier.
    func cycleFindings() -> [Finding] {
        let automatic = deathEdges { $0 != "rejected" }
        let all = deathEdges { _ in true }
        let automaticCycles = Self.cycles(in: automatic)
        let otherCycles = Self.cycles(in: all).filter { cycle in
            !automaticCycles.contains { Set($0) == Set(cycle) }
        }
        return automaticCycles.map { cycle in
            Finding(
                .automaticCycle, "queue \(cycle[0])",
                "the broker destroys or blocks messages on this circle: \(Self.path(cycle, automatic))",
                remedy: "let the work queue's dead letters end in its terminal queue; retry by publishing to a tier")
        }
            + otherCycles.map { cycle in
                Finding(
                    .rejectionCycle, "queue \(cycle[0])",
                    "a rejected message goes round in a circle: \(Self.path(cycle, all))",
                    remedy: "let the work queue's dead letters end in its terminal queue; retry by publishing to a tier"
                )
            }
    }

    private typealias Edges = [String: [String: String]]

    /// For each queue the queues its dead letters reach, with the reason.
    private func deathEdges(where isCounted: (String) -> Bool) -> Edges {
        var edges: Edges = [:]
        for (name, queue) in state.queues {
            let settings = policies.settings(of: name)
            guard let exchange = settings.deadLetterExchange else { continue }
            var reasons: [String] = []
            if settings.messageTTL != nil { reasons.append("expired") }
            if settings.deliveryLimit != nil { reasons.append("delivery_limit") }
            if settings.maxLength != nil, settings.overflow != "reject-publish" { reasons.append("maxlen") }
            if queue.role == .work || queue.role == nil { reasons.append("rejected") }
            guard let reason = reasons.first(where: isCounted) else { continue }
            let targets =
                settings.deadLetterRoutingKey.map { state.queues(reachedFrom: exchange, routingKey: $0) }
                ?? queuesReachable(from: exchange, keysOf: name)
            for target in targets { edges[name, default: [:]][target] = reason }
        }
        return edges
    }

    /// Without a fixed key a dead letter keeps its own: the queue's name, or whatever key brought it there.
    private func queuesReachable(from exchange: String, keysOf queue: String) -> Set<String> {
        let keys = state.bindings.filter { $0.destination == queue }.map(\.routingKey) + [queue]
        return Set(keys.flatMap { state.queues(reachedFrom: exchange, routingKey: $0) })
    }

    /// Every circle that a walk from its alphabetically first queue finds, once.
    private static func cycles(in edges: Edges) -> [[String]] {
        var found: [[String]] = []
        func walk(_ start: String, _ path: [String]) {
            for next in (edges[path[path.count - 1]] ?? [:]).keys.sorted() {
                if next == start {
                    found.append(path)
                } else if next > start, !path.contains(next) {
                    walk(start, path + [next])
                }
            }
        }
        for start in edges.keys.sorted() { walk(start, [start]) }
        return found
    }

    private static func path(_ cycle: [String], _ edges: Edges) -> String {
        zip(cycle, cycle.dropFirst() + cycle.prefix(1))
            .map { from, to in "\(from) –\(edges[from]?[to] ?? "?")→ " }.joined() + cycle[0]
    }
}
