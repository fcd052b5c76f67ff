/// The verdict over a deployed topology.
package struct Verification: Sendable, Hashable, CustomStringConvertible {
    /// What was found, errors first.
    package let findings: [Finding]
    /// How many queues, exchanges and bindings were compared.
    package let scope: String

    /// Whether nothing is wrong; warnings do not count.
    package var isClean: Bool { !findings.hasErrors }

    /// Judges a broker. Pure and read-only.
    package init(document: TopologyDocument, wanted: BrokerState, survey: BrokerSurvey) {
        var found = Self.health(document, survey)
        if survey.virtualHostExists {
            let plan = Plan(wanted: wanted, survey: survey)
            found += plan.changes.map(Self.drift) + plan.findings
            found += Self.effective(wanted, survey)
            // The broker as it is, judged by the rules for the file: a foreign policy or binding shows here by its effect.
            // What is missing is reported as such already and would only echo.
            if plan.changes.isEmpty {
                found += StaticCheck(Self.withRoles(survey.state, wanted), version: survey.version).findings()
            }
        } else {
            found.append(
                Finding(
                    .missing, "virtual host \(survey.virtualHost)", "it does not exist", remedy: "run topology apply"))
        }
        var seen: Set<Finding> = []
        findings = found.filter { seen.insert($0).inserted }.ranked
        scope =
            "\(wanted.queues.count) queues, \(wanted.exchanges.count) exchanges, \(wanted.bindings.count) bindings, "
            + "\(wanted.policies.count) policies in virtual host \(survey.virtualHost), RabbitMQ \(survey.version)"
    }

    /// The same verdict with the canary's journey added: a hop that failed is an error.
    package func including(_ canary: Canary.Result) -> Verification {
        let failed = canary.hops.filter { $0.problem != nil }.map { hop in
            Finding(
                .canary, "canary, \(hop.name)", hop.problem ?? "it failed",
                remedy: "run verify without the canary to see what differs from the file, then look at the broker's log"
            )
        }
        return Verification(findings: (findings + failed).ranked, scope: scope)
    }

    private init(findings: [Finding], scope: String) {
        self.findings = findings
        self.scope = scope
    }

    package var description: String {
        guard !findings.isEmpty else { return "ok: \(scope)" }
        let errors = findings.count { $0.severity == .error }
        let verdict =
            errors == 0 ? "ok with \(findings.count) warnings: \(scope)" : "FAILED with \(errors) errors: \(scope)"
        return (findings.map(\.description) + [verdict]).joined(separator: "\n")
    }

    private static func health(_ document: TopologyDocument, _ survey: BrokerSurvey) -> [Finding] {
        var found: [Finding] = []
        if survey.version < document.minimumVersion {
            found.append(
                Finding(
                    .brokerTooOld, "broker", "it is RabbitMQ \(survey.version); \(document.minimumVersion) is needed",
                    remedy: "upgrade the broker"))
        }
        // From 4.0 on these are always on and no longer listed.
        for flag in ["quorum_queue", "stream_queue"]
        where survey.version < BrokerVersion(4, 0) && !survey.featureFlags.contains(flag) {
            found.append(
                Finding(
                    .featureFlagDisabled, "feature flag \(flag)",
                    "it is off, so dead-lettering silently falls back to at-most-once",
                    remedy: "rabbitmqctl enable_feature_flag \(flag)"))
        }
        found += survey.alarms.map {
            Finding(
                .brokerAlarm, "broker", "resource alarm: \($0); publishers are blocked",
                remedy: "free memory or disk on that node")
        }
        return found
    }

    private static func drift(_ change: Change) -> Finding {
        let remedy = "run topology apply"
        switch change {
        case .createVirtualHost(let name):
            return Finding(.missing, "virtual host \(name)", "it does not exist", remedy: remedy)
        case .declareExchange(let name, _):
            return Finding(.missing, "exchange \(name)", "it does not exist", remedy: remedy)
        case .declareQueue(let name, _):
            return Finding(.missing, "queue \(name)", "it does not exist", remedy: remedy)
        case .bind(let binding):
            return Finding(.missing, "binding \(binding.summary)", "it does not exist", remedy: remedy)
        case .putPolicy(let name, _, replacing: nil):
            return Finding(.missing, "policy \(name)", "it does not exist", remedy: remedy)
        case .unbind(let binding):
            return Finding(.drift, "binding \(binding.summary)", "it is not in the topology file", remedy: remedy)
        case .putPolicy(let name, _, _), .putUser(let name, _, _), .permit(user: let name, _, _):
            return Finding(.drift, name, "differs: \(change)", remedy: remedy)
        }
    }

    /// The policy that is set and the policy that takes effect are two things.
    private static func effective(_ wanted: BrokerState, _ survey: BrokerSurvey) -> [Finding] {
        var operators = BrokerState()
        operators.queues = survey.state.queues
        operators.policies = survey.operatorPolicies
        let operatorIndex = PolicyIndex(operators)
        var found: [Finding] = []
        func overridden(_ queue: String, _ problem: String, _ remedy: String) {
            found.append(Finding(.overridden, "queue \(queue)", problem, remedy: remedy))
        }
        for name in wanted.queues.keys.sorted() where survey.state.queues[name] != nil {
            let policy = "queue.\(name)"
            if let attached = survey.attachedPolicies[name], attached != policy {
                overridden(
                    name, "the policy in effect is \(attached), and nothing of \(policy) counts",
                    "rabbitmqctl clear_policy \(attached), or run topology apply")
            }
            if let other = operatorIndex.policies(matchingQueue: name).first {
                overridden(
                    name,
                    "the operator policy \(other.name) is mixed in: \(ArgumentValue.table(other.policy.definition))",
                    "rabbitmqctl clear_operator_policy \(other.name)")
            } else if let effective = survey.effectivePolicies[name], survey.attachedPolicies[name] ?? policy == policy,
                let definition = wanted.policies[policy]?.definition, effective != definition
            {
                overridden(
                    name,
                    "in effect is \(ArgumentValue.table(effective)), wanted is \(ArgumentValue.table(definition))",
                    "run topology apply; if this stays, restart the queue's nodes one by one")
            }
            if let state = survey.queueStates[name], !["running", "flow", "idle"].contains(state) {
                found.append(
                    Finding(
                        .queueUnavailable, "queue \(name)", "its state is \(state)",
                        remedy: "bring the queue's nodes back; rabbitmq-queues quorum_status \(name)"))
            }
        }
        return found
    }

    private static func withRoles(_ found: BrokerState, _ wanted: BrokerState) -> BrokerState {
        var state = found
        for (name, queue) in wanted.queues { state.queues[name]?.role = queue.role }
        // Only our own users are judged.
        state.users = found.users.filter { wanted.users[$0.key] != nil }
        return state
    }
}
