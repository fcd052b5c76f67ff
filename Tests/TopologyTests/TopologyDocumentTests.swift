import FoundationEssentials
import Testing
import Topology

@Suite struct TopologyDocumentTests {
    @Test func theShippedFileIsTheOneInTheRepository() throws {
        let path = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let text = try String(contentsOfFile: "/\(path)/topology/topology.yaml", encoding: .utf8)
        #expect(try TopologyDocument.load(yaml: text) == TopologyDocument.shipped())
    }

    @Test func aSoundFileLoads() throws {
        let document = try TopologyDocument.load(yaml: yaml())
        #expect(document.workQueues.keys.sorted() == ["work"])
        #expect(StaticCheck(document.desiredState(for: debian12), version: debian12).findings() == [])
    }

    @Test(arguments: [
        (yaml(extraKey: ", bindngs: {}"), "work_queues.work.bindngs: unknown key"),
        (yaml(broker: "{}"), "broker.minimum_version: this key is missing"),
        (yaml(broker: "{minimum_version: new}"), "not a version"),
        (yaml(exchangeType: "headers"), "type is direct, fanout or topic"),
        (yaml(tiers: "{5s: []}"), "one to five different delays"),
        (yaml(tiers: "{5s: [0]}"), "one to five different delays"),
        (yaml(tiers: "{5s: [5, 5]}"), "one to five different delays"),
        (yaml(tiers: "{5s: [6, 5]}"), "shortest first"),
        (yaml(tiers: "{5.s: [5]}"), "not a plain name"),
        (yaml(workTiers: "[1m]"), "there is no tier \"1m\""),
        (yaml(workTiers: "[5s, 5s]"), "a tier is named twice"),
        (yaml(queue: "unrouted"), "the name is taken"),
        (yaml(queue: "Work"), "names are lower-case"),
        (yaml(queue: "amq.work"), "names are lower-case"),
        ("version: 2", "this program reads version 1"),
        ("a: [", "YAML"),
        ("", "the topology file"),
    ])
    func aFileWithAMistakeIsRefusedAndTheMistakeNamed(text: String, problem: String) throws {
        let error = #expect(throws: TopologyError.self) { try TopologyDocument.load(yaml: text) }
        #expect(error?.code == .invalidDocument)
        #expect(error?.message.contains(problem) == true, "\(error?.message ?? "nothing")")
    }

    @Test func twoWorkQueuesCannotClaimOneName() {
        let clash = yaml().replacing(
            "work_queues:",
            with: "work_queues:\n  work.dead: {delivery_limit: 5, max_length: 1, tiers: [], bindings: {}}")
        #expect(throws: TopologyError.self) { try TopologyDocument.load(yaml: clash) }
    }

    @Test func tiersComeShortestFirstWithTheirSiblings() throws {
        let tiers = try TopologyDocument.shipped().retryTiers(of: "sync")
        #expect(tiers.map(\.name) == ["5s", "30s", "2m", "10m", "1h", "6h"])
        #expect(tiers[0].siblings.map(\.queue) == ["sync.retry.5s"])
        #expect(
            tiers[1].siblings.map(\.queue) == ["sync.retry.30s.a", "sync.retry.30s.b", "sync.retry.30s.c"])
        #expect(tiers[1].siblings.map(\.delay) == [.seconds(27), .seconds(30), .seconds(33)])
        #expect(tiers[1].nominalDelay == .seconds(30))
        #expect(try TopologyDocument.shipped().retryTiers(of: "no-such-queue") == [])
    }

    @Test(arguments: [
        ("inbound", "calendly.invitee.created", ["sync"]),
        ("inbound", "calendly.something.nobody.knows", ["sync"]),
        ("inbound", "calendly", ["sync"]),
        ("inbound", "twilio.message.status", ["unrouted"]),
        ("commands", "job.create", ["scheduling"]),
        ("commands", "job.create.emergency", ["scheduling.urgent"]),
        ("commands", "emergency.assign", ["scheduling.urgent"]),
        ("commands", "calendly.reschedule_due", ["sync"]),
        ("commands", "notification.send", ["notification.mail"]),
        ("commands", "job.paint", ["unrouted"]),
        ("commands", "canary.probe", ["canary"]),
        ("events", "consultation.booked", ["notification", "scheduling"]),
        ("events", "consultation.no_show", ["notification"]),
        ("events", "job.scheduled", ["notification"]),
        ("events", "emergency.assigned", ["notification.urgent"]),
        ("retry", "sync.retry.2m.b", ["sync.retry.2m.b"]),
        ("retry", "sync", []),
        ("dead", "sync", ["sync.dead"]),
        ("", "sync", ["sync"]),
    ])
    func aMessageReachesExactlyTheseQueues(exchange: String, key: String, queues: [String]) throws {
        #expect(try shippedState().queues(reachedFrom: exchange, routingKey: key).sorted() == queues)
    }

    @Test func everyWorkQueueHasItsOwnTiersAndEndsInItsOwnDeadLetterQueue() throws {
        let document = try TopologyDocument.shipped()
        let state = try shippedState()
        for queue in document.workQueues.keys {
            #expect(state.queues(reachedFrom: "dead", routingKey: queue) == ["\(queue).dead"])
            for sibling in document.retryTiers(of: queue).flatMap(\.siblings) {
                let policy = try #require(state.policies["queue.\(sibling.queue)"])
                #expect(policy.definition["dead-letter-exchange"] == "")
                #expect(policy.definition["dead-letter-routing-key"] == .string(queue))
            }
        }
        #expect(state.queues.values.allSatisfy { $0.arguments == ["x-queue-type": "quorum"] })
    }

    @Test(arguments: [
        ("neff-ingress", "inbound", true, false), ("neff-ingress", "events", false, false),
        ("neff-ingress", "sync", false, false), ("neff-sync", "sync", false, true),
        ("neff-sync", "sync.dead", false, false), ("neff-sync", "amq.default", false, false),
        ("neff-scheduling", "scheduling.urgent", false, true), ("neff-scheduling", "schedulingXurgent", false, false),
        ("neff-deadletters", "notification.urgent.dead", false, true), ("neff-deadletters", "sync", false, false),
        ("neff-deadletters", "amq.default", true, false), ("neff-monitoring", "sync", false, false),
    ])
    func aRoleMayDoThisAndNoMore(user: String, resource: String, mayWrite: Bool, mayRead: Bool) throws {
        let permission = try #require(try shippedState().permissions[user])
        #expect(try resource.contains(Regex(permission.write)) == mayWrite)
        #expect(try resource.contains(Regex(permission.read)) == mayRead)
        #expect(try !resource.contains(Regex(permission.configure)))
    }
}
