import Testing
import Topology

@Suite struct VerificationTests {
    private func rules(_ edit: (inout BrokerSurvey) -> Void) async throws -> Set<Finding.Rule> {
        let broker = FakeBroker()
        let deployment = TopologyDeployment(try TopologyDocument.shipped(), on: broker)
        try await deployment.apply()
        broker.edit(edit)
        let verification = try await deployment.verify()
        let errors = verification.findings.filter { $0.severity == .error }
        #expect(verification.isClean == errors.isEmpty)
        #expect(verification.description.hasPrefix("ok") == false || errors.isEmpty)
        return Set(errors.map(\.rule))
    }

    @Test func aFreshDeploymentIsClean() async throws {
        #expect(try await rules { _ in } == [])
    }

    @Test func anOldBrokerAndSwitchedOffFlagsAreErrors() async throws {
        #expect(try await rules { $0.version = BrokerVersion(3, 9, 29) } == [.brokerTooOld])
        #expect(try await rules { $0.featureFlags = ["quorum_queue"] } == [.featureFlagDisabled])
    }

    @Test func aResourceAlarmIsAnError() async throws {
        #expect(try await rules { $0.alarms = ["disk on rabbit@a"] } == [.brokerAlarm])
    }

    @Test func whatIsGoneIsMissing() async throws {
        #expect(try await rules { $0.state.queues["sync"] = nil } == [.missing])
        #expect(try await rules { $0.state.exchanges["events"] = nil } == [.missing])
        #expect(try await rules { $0.state.policies["queue.sync"] = nil } == [.missing])
        #expect(
            try await rules {
                $0.state.bindings.remove(Binding(source: "dead", destination: "sync.dead", routingKey: "sync"))
            } == [.missing])
        #expect(try await rules { $0.virtualHostExists = false } == [.missing])
    }

    @Test func anOperatorsPolicyThatTakesOverIsAnError() async throws {
        let rules = try await rules {
            $0.state.policies["emergency"] = Policy(
                pattern: "^sync", appliesTo: "queues", priority: 250, definition: ["max-length": 5])
        }
        #expect(rules.isSuperset(of: [.overridden, .policyOverlap]))
    }

    @Test func anOperatorPolicyIsAnError() async throws {
        let rules = try await rules {
            $0.operatorPolicies["cap"] = Policy(
                pattern: "^sync", appliesTo: "queues", priority: 1, definition: ["max-length": 5])
        }
        #expect(rules == [.overridden])
    }

    @Test func settingsInEffectThatDifferAreAnErrorWhateverTheirSource() async throws {
        let broker = FakeBroker()
        let deployment = TopologyDeployment(try TopologyDocument.shipped(), on: broker)
        try await deployment.apply()
        broker.edit { $0.effectivePolicies["sync"] = ["max-length": 5] }
        let verification = try await deployment.verify(patience: .zero)
        #expect(verification.findings.filter { $0.severity == .error }.map(\.rule) == [.overridden])
    }

    @Test func aQueueWithoutAMajorityIsAnError() async throws {
        let broker = FakeBroker()
        let document = try TopologyDocument.shipped()
        try await TopologyDeployment(document, on: broker).apply()
        var survey = try await broker.survey()
        survey.queueStates["sync"] = "minority"
        let wanted = document.desiredState(for: debian12)
        let verification = Verification(document: document, wanted: wanted, survey: survey)
        #expect(verification.findings.filter { $0.severity == .error }.map(\.rule) == [.queueUnavailable])
    }
}
