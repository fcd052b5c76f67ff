import Testing
import Topology

/// The shipped topology with one thing wrong, and the rules that must notice.
struct Mistake: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let rules: Set<Finding.Rule>
    var version = debian12
    let make: @Sendable (inout BrokerState) -> Void

    init(
        _ description: String, _ rules: Finding.Rule..., version: BrokerVersion = debian12,
        make: @escaping @Sendable (inout BrokerState) -> Void
    ) {
        testDescription = description
        self.rules = Set(rules)
        self.version = version
        self.make = make
    }
}

@Suite struct StaticCheckTests {
    @Test(arguments: versions)
    func theShippedTopologyIsSoundOnEveryVersion(version: BrokerVersion) throws {
        #expect(StaticCheck(try shippedState(version), version: version).findings() == [])
    }

    @Test(arguments: Self.mistakes)
    func aMistakeIsFoundAndNamed(mistake: Mistake) throws {
        var state = try shippedState(mistake.version)
        mistake.make(&state)
        let findings = StaticCheck(state, version: mistake.version).findings()
        #expect(Set(findings.map(\.rule)) == mistake.rules, "\(findings)")
        #expect(findings.allSatisfy { !$0.remedy.isEmpty && !$0.problem.isEmpty })
    }

    @Test func everyRuleOfTheCheckHasAFixture() {
        let onlyOnABroker: Set<Finding.Rule> = [
            .brokerTooOld, .featureFlagDisabled, .brokerAlarm, .missing, .drift, .foreign, .overridden,
            .queueUnavailable, .userMissing, .notSeen, .canary,
        ]
        let covered = Self.mistakes.reduce(into: Set<Finding.Rule>()) { $0.formUnion($1.rules) }
        #expect(covered.union(onlyOnABroker) == Set(Finding.Rule.allCases))
    }

    @Test func aCircleIsToldWithItsReasons() throws {
        var state = try shippedState()
        state.deadLetter("sync", exchange: "retry", key: "sync.retry.5s")
        let finding = try #require(StaticCheck(state, version: debian12).findings().first)
        #expect(finding.problem.contains("sync –delivery_limit→ sync.retry.5s –expired→ sync"))
    }

    @Test func foreignQueuesAreNotJudged() throws {
        var state = try shippedState()
        state.queues["somebody-elses"] = Queue(role: nil)
        state.queues["somebody-elses"]?.arguments = ["x-message-ttl": 5]
        #expect(StaticCheck(state, version: debian12).findings() == [])
    }

    static let mistakes: [Mistake] = [
        // The dead-letter graph
        Mistake("delivery limit leads to a tier", .automaticCycle) {
            $0.deadLetter("sync", exchange: "retry", key: "sync.retry.5s")
        },
        Mistake("retry by rejection", .rejectionCycle, .missingDeliveryLimit) {
            $0.deadLetter("sync", exchange: "retry", key: "sync.retry.5s")
            $0.set("sync", ["delivery-limit": nil])
        },
        Mistake("a queue that dies into itself", .automaticCycle) {
            $0.deadLetter("sync", exchange: "", key: "sync")
        },
        Mistake("no dead-letter exchange", .missingDeath) {
            $0.set("sync", ["dead-letter-exchange": nil, "dead-letter-routing-key": nil])
        },
        Mistake("a tier without a way back", .missingDeath) {
            $0.set("sync.retry.5s", ["dead-letter-exchange": nil, "dead-letter-routing-key": nil])
        },
        Mistake("no delivery limit", .missingDeliveryLimit) { $0.set("sync", ["delivery-limit": nil]) },
        Mistake("delivery limit 0", .missingDeliveryLimit) { $0.set("sync", ["delivery-limit": 0]) },
        Mistake("delivery limit -1 on 3.10", .unlimitedDeliveries) { $0.set("sync", ["delivery-limit": -1]) },
        Mistake("at-most-once by default strategy", .atMostOnceHop) { $0.set("sync", ["dead-letter-strategy": nil]) },
        Mistake("at-most-once by default overflow", .atMostOnceHop, .dropsHead) { $0.set("sync", ["overflow": nil]) },
        Mistake("reject-publish-dlx on a quorum queue", .rejectPublishDeadLetter, .atMostOnceHop) {
            $0.set("sync", ["overflow": "reject-publish-dlx"])
        },
        Mistake("a terminal queue that drops its head", .dropsHead) { $0.set("sync.dead", ["overflow": "drop-head"]) },
        Mistake("no length limit", .unboundedQueue) { $0.set("sync", ["max-length": nil]) },
        Mistake("dead letters to an exchange that is not there", .deadLetterExchangeMissing) {
            $0.deadLetter("sync", exchange: "morgue", key: "sync")
        },
        Mistake("dead letters with a key nobody takes", .deadLetterUnroutable) {
            $0.deadLetter("sync", exchange: "dead", key: "snyc")
        },
        Mistake("the dead-letter queue's binding is gone", .deadLetterUnroutable, .unreachableQueue) {
            $0.bindings.remove(Binding(source: "dead", destination: "sync.dead", routingKey: "sync"))
        },
        Mistake("dead letters keep their key", .deadLetterKeyNotFixed) {
            $0.set("sync", ["dead-letter-routing-key": nil])
        },

        // Tiers and terminals
        Mistake("a tier returns to another queue", .sharedTier) {
            $0.set("sync.retry.5s", ["dead-letter-routing-key": "scheduling"])
        },
        Mistake("two keys lead to one tier", .sharedTier) {
            $0.bindings.insert(Binding(source: "retry", destination: "sync.retry.5s", routingKey: "scheduling"))
        },
        Mistake("a tier returns through a binding", .tierReturnsThroughBinding) {
            $0.deadLetter("scheduling.retry.5s", exchange: "commands", key: "scheduling")
            $0.bindings.insert(Binding(source: "commands", destination: "scheduling", routingKey: "scheduling"))
        },
        Mistake("per-message expiration instead of a tier's own", .tierWithoutTTL) {
            $0.set("sync.retry.5s", ["message-ttl": nil])
        },
        Mistake("a work queue that expires", .workQueueExpires) { $0.set("sync", ["message-ttl": 60_000]) },
        Mistake("a terminal queue that expires", .terminalLosesMessages) {
            $0.set("sync.dead", ["message-ttl": 60_000])
        },
        Mistake("a terminal queue with a delivery limit: looking kills", .terminalLosesMessages) {
            $0.set("sync.dead", ["delivery-limit": 5])
        },
        Mistake("a terminal queue with 4.0's default limit", .terminalLosesMessages, version: BrokerVersion(4, 0)) {
            $0.set("sync.dead", ["delivery-limit": nil])
        },

        // Types, arguments, policies
        Mistake("a classic queue", .notQuorum, .ignoredSetting, .refusedSetting) {
            $0.queues["sync"]?.arguments = ["x-queue-type": "classic", "x-bogus": 1]
        },
        Mistake("a transient queue", .notDurable) { $0.queues["sync"]?.isDurable = false },
        Mistake("an argument the version ignores", .ignoredSetting) {
            $0.queues["sync"]?.arguments["x-consumer-timeout"] = 1_000
        },
        Mistake("the same argument where it works", .frozenArgument, version: BrokerVersion(3, 13)) {
            $0.queues["sync"]?.arguments["x-consumer-timeout"] = 1_000
        },
        Mistake("delayed retry before 4.3", .ignoredSetting, version: BrokerVersion(4, 0)) {
            $0.set("sync", ["delayed-retry-type": "all"])
        },
        Mistake("priorities on a quorum queue", .refusedSetting) {
            $0.queues["sync"]?.arguments["x-max-priority"] = 10
        },
        Mistake("a changeable setting as an argument", .frozenArgument) {
            $0.queues["sync"]?.arguments["x-delivery-limit"] = 5
        },
        Mistake("two policies for one queue", .policyOverlap) {
            $0.policies["extra"] = Policy(
                pattern: "^sync$", appliesTo: "queues", priority: 50, definition: ["max-length": 5])
        },
        Mistake("two policies for one exchange", .policyOverlap) {
            $0.policies["extra"] = Policy(
                pattern: "bound$", appliesTo: "all", priority: 50, definition: ["alternate-exchange": "unrouted"])
        },
        Mistake("a pattern that does not compile", .policyPatternInvalid) {
            $0.policies["extra"] = Policy(pattern: "(", appliesTo: "queues", priority: 1, definition: [:])
        },
        Mistake("apply-to quorum_queues before 3.12", .policyTargetUnknown, .policyOverlap) {
            $0.policies["extra"] = Policy(pattern: "^sync$", appliesTo: "quorum_queues", priority: 1, definition: [:])
        },
        Mistake("a policy for nothing", .policyMatchesNothing) {
            $0.policies["extra"] = Policy(pattern: "^synk$", appliesTo: "queues", priority: 1, definition: [:])
        },

        // Routing and rights
        Mistake("a binding to a queue that is not there", .danglingBinding) {
            $0.bindings.insert(Binding(source: "commands", destination: "painting", routingKey: "paint"))
        },
        Mistake("a work queue that nothing reaches", .unreachableQueue) {
            $0.bindings.remove(Binding(source: "inbound", destination: "sync", routingKey: "calendly.#"))
            $0.bindings.remove(Binding(source: "commands", destination: "sync", routingKey: "calendly.#"))
        },
        Mistake("no alternate exchange", .missingAlternate) { $0.policies["exchange.events"] = nil },
        Mistake("an alternate exchange that is not there", .alternateUnroutable) {
            $0.policies["exchange.events"]?.definition["alternate-exchange"] = "lost-and-found"
        },
        Mistake("the unrouted queue is not bound", .alternateUnroutable, .unreachableQueue) {
            $0.bindings.remove(Binding(source: "unrouted", destination: "unrouted", routingKey: ""))
        },
        Mistake("a permission without anchors", .permissionNotAnchored) {
            $0.permissions["neff-sync"] = Permission(read: "sync")
        },
        Mistake("a permission anchored by halves", .permissionNotAnchored) {
            $0.permissions["neff-sync"] = Permission(read: "^sync|scheduling$")
        },
        Mistake("a permission for everything", .permissionTooWide) {
            $0.permissions["neff-sync"] = Permission(read: "^.*$")
        },
    ]
}
