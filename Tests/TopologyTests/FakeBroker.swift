import Synchronization
import Topology

/// A broker's administration in memory: declaring again is harmless, and what exists never changes its arguments.
final class FakeBroker: BrokerAdministration {
    private struct Contents {
        var survey: BrokerSurvey
        var changes: [Change] = []
        var failure: (change: Int, error: TopologyError)?
    }

    private let contents: Mutex<Contents>

    init(_ survey: BrokerSurvey = BrokerSurvey(version: debian12, virtualHost: "v", virtualHostExists: false)) {
        contents = Mutex(Contents(survey: survey))
    }

    var changes: [Change] { contents.withLock { $0.changes } }

    func edit(_ body: (inout BrokerSurvey) -> Void) { contents.withLock { body(&$0.survey) } }

    /// Fails before the change of this number.
    func fail(beforeChange number: Int) {
        contents.withLock { $0.failure = (number, TopologyError(.unreachable, "gone")) }
    }

    func survey() async throws(TopologyError) -> BrokerSurvey {
        contents.withLock { contents in
            var survey = contents.survey
            for name in survey.state.queues.keys {
                let winner = survey.state.policies
                    .filter { ["queues", "all"].contains($0.value.appliesTo) && Self.matches($0.value.pattern, name) }
                    .max { $0.value.priority < $1.value.priority }
                survey.attachedPolicies[name] = winner?.key
                if survey.effectivePolicies[name] == nil { survey.effectivePolicies[name] = winner?.value.definition }
                survey.queueStates[name] = "running"
            }
            return survey
        }
    }

    func perform(_ change: Change) async throws(TopologyError) {
        try contents.withLock { contents throws(TopologyError) in
            if let failure = contents.failure, contents.changes.count == failure.change {
                contents.failure = nil
                throw failure.error
            }
            contents.changes.append(change)
            Self.make(change, in: &contents.survey)
        }
    }

    /// Knows exact names and prefixes: compiling an expression for each pair would take seconds.
    private static func matches(_ pattern: String, _ name: String) -> Bool {
        pattern == Policy.pattern(exactly: name) || (!pattern.hasSuffix("$") && name.hasPrefix(pattern.dropFirst()))
    }

    private static func make(_ change: Change, in survey: inout BrokerSurvey) {
        switch change {
        case .createVirtualHost: survey.virtualHostExists = true
        case .declareExchange(let name, let exchange):
            if survey.state.exchanges[name] == nil { survey.state.exchanges[name] = exchange }
        case .declareQueue(let name, var queue):
            queue.role = nil
            if survey.state.queues[name] == nil { survey.state.queues[name] = queue }
        case .putPolicy(let name, let policy, _): survey.state.policies[name] = policy
        case .bind(let binding): survey.state.bindings.insert(binding)
        case .unbind(let binding): survey.state.bindings.remove(binding)
        case .putUser(let name, let user, _): survey.state.users[name] = user
        case .permit(let user, let permission, _): survey.state.permissions[user] = permission
        }
    }
}
