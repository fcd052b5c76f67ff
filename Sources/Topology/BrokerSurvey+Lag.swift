extension BrokerSurvey {
    /// Whether a queue reports settings other than those of the policy that is attached to it. Operator policies explain
    /// such a difference too, and then waiting is of no use.
    var isLagging: Bool {
        guard operatorPolicies.isEmpty else { return false }
        return effectivePolicies.contains { queue, effective in
            guard let policy = attachedPolicies[queue].flatMap({ state.policies[$0] }) else { return false }
            return effective != policy.definition
        }
    }
}
