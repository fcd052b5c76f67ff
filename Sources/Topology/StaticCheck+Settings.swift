// Arguments and policies: nothing that the broker ignores or refuses, nothing that cannot be changed later, and for each
// queue exactly one policy, because policies do not merge.
extension StaticCheck {
    func argumentFindings(_ name: String, _ queue: Queue) -> [Finding] {
        queue.arguments.keys.sorted().filter { $0 != "x-queue-type" }.map { key in
            settingFinding(
                "queue \(name)", key, SettingSupport.argument(key, queueType: queue.type, version: version), queue.type)
                ?? Finding(
                    .frozenArgument, "queue \(name)", "\(key) is an argument, which cannot be changed in place",
                    remedy: "move \(key.dropFirst(2)) into the queue's policy")
        }
    }

    func policyFindings() -> [Finding] {
        var found: [Finding] = []
        var used: Set<String> = []
        for (name, queue) in state.queues where queue.role != nil {
            let matching = policies.policies(matchingQueue: name)
            used.formUnion(matching.map(\.name))
            found += overlap("queue \(name)", matching)
            for key in (matching.first?.policy.definition ?? [:]).keys.sorted() {
                found += [
                    settingFinding(
                        "policy \(matching[0].name)", key,
                        SettingSupport.policyKey(key, queueType: queue.type, version: version), queue.type)
                ].compactMap(\.self)
            }
        }
        for name in state.exchanges.keys {
            let matching = policies.policies(matchingExchange: name)
            used.formUnion(matching.map(\.name))
            found += overlap("exchange \(name)", matching)
        }
        for (name, policy) in state.policies { found += policyFindings(name, policy, isUsed: used.contains(name)) }
        return found
    }

    private func policyFindings(_ name: String, _ policy: Policy, isUsed: Bool) -> [Finding] {
        if Pattern(policy.pattern) == nil {
            return [
                Finding(
                    .policyPatternInvalid, "policy \(name)", "\(policy.pattern) is not a regular expression",
                    remedy: "write the name of one queue, escaped and anchored")
            ]
        }
        let late = ["quorum_queues", "classic_queues", "streams"]
        if late.contains(policy.appliesTo), version < BrokerVersion(3, 12) {
            return [
                Finding(
                    .policyTargetUnknown, "policy \(name)", "RabbitMQ \(version) refuses apply-to \(policy.appliesTo)",
                    remedy: "use apply-to queues, and an exact name as the pattern")
            ]
        }
        if !isUsed {
            return [
                Finding(
                    .policyMatchesNothing, "policy \(name)", "its pattern \(policy.pattern) matches nothing",
                    remedy: "remove it, or correct the pattern", severity: .warning)
            ]
        }
        return []
    }

    private func overlap(_ subject: String, _ matching: [PolicyIndex.NamedPolicy]) -> [Finding] {
        guard matching.count > 1 else { return [] }
        let rest = matching.dropFirst().map(\.name).joined(separator: ", ")
        return [
            Finding(
                .policyOverlap, subject,
                "policies do not merge: only \(matching[0].name) (priority \(matching[0].policy.priority)) counts, "
                    + "nothing of \(rest) does",
                remedy: "leave exactly one policy that matches it")
        ]
    }

    private func settingFinding(
        _ subject: String, _ key: String, _ support: SettingSupport, _ queueType: String
    ) -> Finding? {
        switch support {
        case .honoured: nil
        case .ignored:
            Finding(
                .ignoredSetting, subject, "RabbitMQ \(version) takes \(key) on a \(queueType) queue and ignores it",
                remedy: "remove it")
        case .refused:
            Finding(
                .refusedSetting, subject, "RabbitMQ \(version) refuses \(key) on a \(queueType) queue",
                remedy: "remove it")
        }
    }
}
