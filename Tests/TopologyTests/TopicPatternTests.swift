import Testing
import Topology

@Suite struct TopicRoutingTests {
    @Test(arguments: [
        ("a.b", "a.b", true), ("a.b", "a.b.c", false), ("a.*", "a.b", true), ("a.*", "a", false),
        ("a.*", "a.b.c", false), ("a.#", "a", true), ("a.#", "a.b.c", true), ("#", "", true), ("#", "x.y", true),
        ("*", "", true), ("#.z", "z", true), ("#.z", "a.b.z", true), ("#.z", "a.z.b", false),
        ("a.#.z", "a.z", true), ("a.#.#.z", "a.b.z", true), ("*.#", "a", true), ("a..b", "a..b", true),
        ("a.*.b", "a..b", true),
    ])
    func bindingKeysMatchAsTheProtocolSays(pattern: String, key: String, matches: Bool) {
        var state = BrokerState()
        state.exchanges["x"] = Exchange(type: "topic")
        state.queues["q"] = Queue(role: .work)
        state.bindings = [Binding(source: "x", destination: "q", routingKey: pattern)]
        #expect(state.queues(reachedFrom: "x", routingKey: key) == (matches ? ["q"] : []))
    }

    @Test func aCircleOfExchangesEnds() {
        var state = BrokerState()
        for (from, to) in [("x", "y"), ("y", "x")] {
            state.exchanges[from] = Exchange(type: "fanout")
            var binding = Binding(source: from, destination: to, routingKey: "")
            binding.kind = .exchange
            state.bindings.insert(binding)
        }
        #expect(state.queues(reachedFrom: "x", routingKey: "k").isEmpty)
    }
}
