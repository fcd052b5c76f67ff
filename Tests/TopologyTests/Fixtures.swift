import Testing
import Topology

/// The broker the fixtures are judged as, unless they say otherwise.
let debian12 = BrokerVersion(3, 10, 8)

/// A version of every series the rules know apart.
let versions = [BrokerVersion(3, 10, 8), BrokerVersion(3, 13, 7), BrokerVersion(4, 0, 5), BrokerVersion(4, 3)]

/// The shipped topology as a broker is meant to hold it.
func shippedState(_ version: BrokerVersion = debian12) throws -> BrokerState {
    try TopologyDocument.shipped().desiredState(for: version)
}

extension BrokerState {
    /// Changes settings in a queue's policy; nil takes one away.
    mutating func set(_ queue: String, _ settings: [String: ArgumentValue?]) {
        for (key, value) in settings { policies["queue.\(queue)"]?.definition[key] = value }
    }

    /// Points a queue's dead letters somewhere.
    mutating func deadLetter(_ queue: String, exchange: String, key: String) {
        set(queue, ["dead-letter-exchange": .string(exchange), "dead-letter-routing-key": .string(key)])
    }
}

/// A small topology in the file's own language, with places to put something wrong.
func yaml(
    broker: String = "{minimum_version: 3.10.0}", exchangeType: String = "topic", tiers: String = "{5s: [5]}",
    workTiers: String = "[5s]", extraKey: String = "", queue: String = "work"
) -> String {
    """
    version: 1
    broker: \(broker)
    policy_priority: 100
    exchanges:
      commands: {type: \(exchangeType), alternate: unrouted}
      retry: {type: direct}
      dead: {type: direct}
      unrouted: {type: fanout}
    retry: {exchange: retry, max_length: 10, tiers: \(tiers)}
    dead_letters: {exchange: dead, max_length: 10}
    work_queues:
      \(queue): {delivery_limit: 5, max_length: 10, tiers: \(workTiers), bindings: {commands: [a.b]}\(extraKey)}
    terminal_queues:
      unrouted: {max_length: 10, bindings: {unrouted: [""]}}
    roles:
      worker: {write: ^commands$}
    """
}
