import Topology
import WorkerRuntime

extension LedgerRoutes {
    /// The routes of the topology that this program was built with.
    static func shipped() throws -> LedgerRoutes {
        let document = try TopologyDocument.shipped()
        let broker = document.desiredState(for: document.minimumVersion)
        return LedgerRoutes { exchange, routingKey in
            Array(broker.queues(reachedFrom: exchange, routingKey: routingKey))
        }
    }
}
