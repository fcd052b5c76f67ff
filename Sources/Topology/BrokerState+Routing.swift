extension BrokerState {
    /// The queues that a message would reach, the alternate exchange included.
    package func queues(reachedFrom exchange: String, routingKey: String) -> Set<String> {
        var visited: Set<String> = []
        return queues(reachedFrom: exchange, routingKey: routingKey, visited: &visited)
    }

    private func queues(reachedFrom exchange: String, routingKey: String, visited: inout Set<String>) -> Set<String> {
        guard !exchange.isEmpty else { return queues[routingKey] == nil ? [] : [routingKey] }
        guard let type = exchanges[exchange]?.type, visited.insert(exchange).inserted else { return [] }
        var found: Set<String> = []
        for binding in bindings where binding.source == exchange {
            let takes =
                switch type {
                case "fanout": true
                case "topic": TopicPattern(binding.routingKey).matches(routingKey)
                default: binding.routingKey == routingKey
                }
            guard takes else { continue }
            switch binding.kind {
            case .queue: if queues[binding.destination] != nil { found.insert(binding.destination) }
            case .exchange:
                found.formUnion(
                    queues(reachedFrom: binding.destination, routingKey: routingKey, visited: &visited))
            }
        }
        if found.isEmpty, let alternate = alternateExchange(of: exchange) {
            found = queues(reachedFrom: alternate, routingKey: routingKey, visited: &visited)
        }
        return found
    }

    /// Where an exchange sends what no binding takes.
    func alternateExchange(of exchange: String) -> String? {
        exchanges[exchange]?.arguments["alternate-exchange"]?.string
            ?? PolicyIndex(self).policies(matchingExchange: exchange).first?.policy.definition["alternate-exchange"]?
            .string
    }
}
