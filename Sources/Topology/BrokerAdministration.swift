/// What planning and verifying need of a broker: one look at everything, and single changes.
package protocol BrokerAdministration: Sendable {
    /// Reads the broker and one virtual host. Takes about ten requests, which are not one snapshot.
    func survey() async throws(TopologyError) -> BrokerSurvey

    /// Makes one change; making it again is harmless.
    func perform(_ change: Change) async throws(TopologyError)
}

/// A broker as it was found.
package struct BrokerSurvey: Sendable, Hashable {
    /// The broker's version.
    package var version: BrokerVersion
    /// The virtual host that was looked at.
    package var virtualHost: String
    /// Whether it exists; if not, the rest is empty.
    package var virtualHostExists: Bool
    /// What the virtual host holds; queues have no role here.
    package var state: BrokerState
    /// What the broker shows to administrators only and did not show to this user. Those parts are empty, or for the
    /// feature flags taken for good.
    package var unseen: Set<String>
    /// One line for each resource alarm in effect.
    package var alarms: [String]
    /// Names of the feature flags that are on.
    package var featureFlags: Set<String>
    /// The name of the policy in effect, by queue.
    package var attachedPolicies: [String: String]
    /// Operator policies by name. They are merged into the policy in effect: of two limits the smaller one counts.
    package var operatorPolicies: [String: Policy]
    /// The settings in effect, by queue, operator policies included. These are statistics: a quorum queue reports them
    /// every 5 seconds, so a new queue has none yet and a changed one the old ones.
    package var effectivePolicies: [String: Arguments]
    /// `running`, `minority`, `down`, ... by queue, where the broker says it.
    package var queueStates: [String: String]

    /// Makes a survey of an empty, healthy broker.
    package init(version: BrokerVersion, virtualHost: String, virtualHostExists: Bool = true) {
        self.version = version
        self.virtualHost = virtualHost
        self.virtualHostExists = virtualHostExists
        state = BrokerState()
        unseen = []
        alarms = []
        featureFlags = ["quorum_queue", "stream_queue"]
        attachedPolicies = [:]
        operatorPolicies = [:]
        effectivePolicies = [:]
        queueStates = [:]
    }
}
