/// Refuses topologies that lose messages. Pure: it looks at a description, never at a broker.
///
/// Only queues with a role are judged; what else lives in the virtual host is somebody else's, though it counts where
/// messages could go.
package struct StaticCheck {
    let state: BrokerState
    let version: BrokerVersion
    let policies: PolicyIndex

    /// Checks a state as a broker of this version would treat it.
    package init(_ state: BrokerState, version: BrokerVersion) {
        self.state = state
        self.version = version
        policies = PolicyIndex(state)
    }

    /// Everything found, errors first; empty for a sound topology.
    package func findings() -> [Finding] {
        var found: [Finding] = []
        for (name, queue) in state.queues {
            guard let role = queue.role else { continue }
            found += typeFindings(name, queue)
            found += lengthFindings(name)
            found += deadLetterFindings(name, role)
            found += deliveryLimitFindings(name, role)
            found += roleFindings(name, role)
            found += argumentFindings(name, queue)
            found += reachabilityFindings(name, role)
        }
        found += cycleFindings()
        found += policyFindings()
        found += bindingFindings()
        found += alternateFindings()
        found += permissionFindings()
        return found.ranked
    }
}
