import Testing
import Topology

@Suite struct PlanTests {
    private let passwords = RolePasswords(["ingress": "one", "sync": "two"])

    private func deployed() async throws -> (FakeBroker, TopologyDeployment) {
        let broker = FakeBroker()
        let deployment = TopologyDeployment(try TopologyDocument.shipped(), on: broker, passwords: passwords)
        try await deployment.apply()
        return (broker, deployment)
    }

    @Test func applyingTwiceChangesNothingTheSecondTime() async throws {
        let (broker, deployment) = try await deployed()
        let made = broker.changes.count
        #expect(made > 150)
        #expect(try await deployment.apply().changes == [])
        #expect(broker.changes.count == made)
        #expect(try await deployment.verify().isClean)
    }

    @Test(arguments: [0, 1, 40, 120])
    func aBrokenOffApplyGoesOnNextTime(after changes: Int) async throws {
        let broker = FakeBroker()
        broker.fail(beforeChange: changes)
        let deployment = TopologyDeployment(try TopologyDocument.shipped(), on: broker, passwords: passwords)
        await #expect(throws: TopologyError.self) { try await deployment.apply() }
        #expect(broker.changes.count == changes)
        #expect(try await !deployment.verify().isClean)
        try await deployment.apply()
        #expect(try await deployment.verify().isClean)
        #expect(Set(broker.changes).count == broker.changes.count, "no change is made twice")
    }

    /// At no moment of an apply may there be a queue whose dead letters lead nowhere.
    @Test func whereSomethingIsSentExistsBeforeTheSender() async throws {
        let (broker, _) = try await deployed()
        let replay = FakeBroker()
        for change in broker.changes {
            try await replay.perform(change)
            let state = try await replay.survey().state
            guard case .declareQueue(let name, _) = change else { continue }
            let policy = try #require(state.policies["queue.\(name)"], "\(name) exists without its policy")
            guard let exchange = policy.definition["dead-letter-exchange"]?.string,
                let key = policy.definition["dead-letter-routing-key"]?.string
            else { continue }
            // A tier returns to a work queue that comes last: until then nothing is sent to the tier.
            if exchange.isEmpty { continue }
            #expect(!state.queues(reachedFrom: exchange, routingKey: key).isEmpty, "\(name) dies into nothing")
        }
    }

    @Test func aChangedSettingIsOneChangedPolicy() async throws {
        let (broker, deployment) = try await deployed()
        broker.edit { $0.state.policies["queue.sync"]?.definition["max-length"] = 7 }
        let plan = try await deployment.plan()
        #expect(plan.changes.map(\.description) == ["~ policy queue.sync: max-length 7 → 500000"])
        try await deployment.apply()
        #expect(try await deployment.verify().isClean)
    }

    @Test(
        arguments: [
            ["x-queue-type": "classic"],
            ["x-queue-type": "quorum", "x-max-length": 5],
            ["x-queue-type": "quorum", "x-delivery-limit": 3],
        ] as [Arguments])
    func aQueueWithOtherArgumentsBlocksApplyAndSaysWhatToDo(arguments: Arguments) async throws {
        let (broker, deployment) = try await deployed()
        broker.edit {
            $0.state.queues["sync"]?.arguments = arguments
            $0.state.bindings.remove(Binding(source: "inbound", destination: "sync", routingKey: "calendly.#"))
        }
        let made = broker.changes.count
        let error = await #expect(throws: TopologyError.self) { try await deployment.apply() }
        #expect(error?.code == .conflict)
        #expect(error?.message.contains("drain") == true)
        #expect(broker.changes.count == made, "nothing is changed when something cannot be")
        let verification = try await deployment.verify()
        #expect(verification.findings.contains { $0.rule == .drift && $0.subject == "queue sync" })
    }

    @Test func anExchangeOfAnotherTypeBlocksApply() async throws {
        let (broker, deployment) = try await deployed()
        broker.edit { $0.state.exchanges["retry"] = Exchange(type: "topic") }
        let error = await #expect(throws: TopologyError.self) { try await deployment.apply() }
        #expect(error?.code == .conflict)
    }

    @Test func aForeignBindingBetweenOurOwnIsRemovedAndOthersAreOnlyReported() async throws {
        let (broker, deployment) = try await deployed()
        let ours = Binding(source: "events", destination: "sync", routingKey: "#")
        let tap = Binding(source: "events", destination: "tap", routingKey: "#")
        broker.edit {
            $0.state.queues["tap"] = Queue(role: nil)
            $0.state.bindings.formUnion([ours, tap])
        }
        let plan = try await deployment.plan()
        #expect(plan.changes == [.unbind(ours)])
        #expect(plan.findings.filter { $0.rule == .foreign }.count == 2)
        #expect(try await !deployment.verify().isClean)
        try await deployment.apply()
        #expect(try await deployment.verify().isClean)
    }

    @Test func usersAreMadeOnlyWhenTheirPasswordIsGiven() async throws {
        let (broker, deployment) = try await deployed()
        let state = try await broker.survey().state
        #expect(state.users.keys.sorted() == ["neff-ingress", "neff-sync"])
        #expect(state.permissions.keys.sorted() == ["neff-ingress", "neff-sync"])
        #expect(state.users["neff-ingress"]?.passwordHash?.matches("one") == true)
        let verification = try await deployment.verify()
        #expect(verification.findings.filter { $0.rule == .userMissing }.count == 5)
        #expect(verification.description.contains("NEFF_BROKER_PASSWORD_NOTIFICATION"))
    }

    @Test func aNewPasswordIsSetAndNoPasswordKeepsTheOldOne() async throws {
        let (broker, _) = try await deployed()
        let document = try TopologyDocument.shipped()
        #expect(try await TopologyDeployment(document, on: broker).plan().changes == [])
        let rotated = TopologyDeployment(document, on: broker, passwords: RolePasswords(["sync": "three"]))
        #expect(try await rotated.plan().changes.map(\.description) == ["~ user neff-sync: password"])
        try await rotated.apply()
        #expect(try await broker.survey().state.users["neff-sync"]?.passwordHash?.matches("three") == true)
    }

    @Test func wiredRightsAreDrift() async throws {
        let (broker, deployment) = try await deployed()
        broker.edit { $0.state.permissions["neff-ingress"]?.read = ".*" }
        #expect(try await !deployment.verify().isClean)
        #expect(
            try await deployment.plan().changes.map(\.description) == [
                "~ permission of neff-ingress: configure ^$, write ^(inbound|commands)$, read ^$"
            ])
    }
}
