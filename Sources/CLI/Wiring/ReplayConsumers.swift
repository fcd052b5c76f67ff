import Topology

/// The consumers that write to the inbox: one for each role that reads work queues.
enum ReplayConsumers {
    static func all() throws -> [String] {
        let queues = try TopologyDocument.shipped().workQueues.keys
        return Set(queues.filter { $0 != "canary" }.compactMap { $0.split(separator: ".").first.map(String.init) })
            .sorted()
    }
}
