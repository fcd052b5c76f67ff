import Foundation
import TestSupport

/// A kind of trouble, and the load that it meets.
package struct Scenario: Sendable {
    package let name: String
    /// One line for lists.
    package let summary: String
    /// Requests for each second, unless a run says otherwise.
    package var rate = 25.0
    /// How long load and faults last, unless a run says otherwise.
    package var duration: Duration = .seconds(40)
    package var mailTrouble = 0.0
    package var noRequestFails = false
    /// Whether processes get a wall clock of their own that a fault can set.
    package var stepsClocks = false
    /// Whether it is about nodes that others survive.
    package var needsCluster = false
    /// How long everything may take to come to rest.
    package var settling: Duration = .seconds(180)
    let schedule: @Sendable (inout SeededGenerator, Duration) -> [Fault]

    init(
        _ name: String, _ summary: String, _ schedule: @escaping @Sendable (inout SeededGenerator, Duration) -> [Fault]
    ) {
        self.name = name
        self.summary = summary
        self.schedule = schedule
    }

    /// The faults of a run, in order. The same seed and duration give the same faults.
    package func faults(seed: UInt64, duration: Duration) -> [Fault] {
        var generator = SeededGenerator(seed: seed, part: name)
        return schedule(&generator, duration).sorted { $0.at < $1.at }
    }

    package static func named(_ name: String) -> Scenario? { all.first { $0.name == name } }

    package static let all: [Scenario] = [
        kill, relay, brokerRestart, nodes, majority, postgres, network, protocolMoments, diskAlarm, mail, poison,
        rolling,
        clock,
        migration,
        outage,
        mixed,
    ]

    // MARK: Processes

    static let kill = Scenario("kill", "SIGKILL of every ingress and worker in turn") { generator, duration in
        turns(
            [
                "ingress-1", "ingress-2", "sync-1", "sync-2", "scheduling-1", "scheduling-2", "notification-1",
                "notification-2", "dead-letters-1",
            ], every: 1_500...3_000, for: duration, &generator
        ) { .kill($0, at: $1) }
    }

    static let relay = Scenario("relay", "SIGKILL of the relays while outbox and spool are full") {
        generator, duration in
        turns([Link.workerBroker, .ingressBroker], every: 12_000...15_000, for: duration, &generator) { link, at in
            .killRelays(at: at, link, outage: .seconds(3))
        }
    }

    static let rolling: Scenario = {
        var scenario = Scenario("rolling", "every process is replaced under load, and no request fails") {
            generator, duration in
            turns(
                [
                    "ingress-1", "sync-1", "scheduling-1", "notification-1", "dead-letters-1", "ingress-2", "sync-2",
                    "scheduling-2", "notification-2",
                ], every: 1_000...2_000, for: duration, &generator, isShuffled: false
            ) { .restart($0, at: $1) }
        }
        scenario.noRequestFails = true
        return scenario
    }()

    // MARK: Broker

    static let brokerRestart = Scenario("broker", "the whole broker is stopped, and killed, and started again") {
        generator, duration in
        turns([false, true], every: 20_000...24_000, for: duration, &generator) { .restartBroker(at: $1, kills: $0) }
    }

    static let nodes: Scenario = {
        var scenario = Scenario("node", "broker nodes are killed, the leaders of the queues among them") {
            generator, duration in
            turns(["sync", "scheduling", "notification", nil], every: 14_000...18_000, for: duration, &generator) {
                queue, at in
                if let queue { return .killLeader(of: queue, at: at, outage: .seconds(4)) }
                return .killNodes([2], at: at, outage: .seconds(4))
            }
        }
        scenario.needsCluster = true
        return scenario
    }()

    static let majority: Scenario = {
        var scenario = Scenario("majority", "two of three broker nodes are lost, then come back") {
            generator, duration in
            turns([[1, 2], [2, 3], [1, 3]], every: 22_000...26_000, for: duration, &generator) {
                .killNodes($0, at: $1, outage: .seconds(9))
            }
        }
        scenario.needsCluster = true
        return scenario
    }()

    static let diskAlarm = Scenario("disk-alarm", "the broker blocks publishers because a disk is full") {
        generator, duration in
        turns([1], every: 14_000...18_000, for: duration, &generator) {
            .diskAlarm(node: $0, at: $1, lasting: .seconds(8))
        }
    }

    static let poison = Scenario("poison", "messages that no handler can read") { generator, duration in
        var number = 0
        return turns(Fault.Poison.allCases, every: 1_000...2_500, for: duration, &generator) { kind, at in
            number += 1
            return .poison(kind, id: "poison-\(number)", at: at)
        }
    }

    // MARK: Database, mail, network

    static let postgres = Scenario("postgres", "PostgreSQL crashes and comes back") { generator, duration in
        turns([1, 3, 6], every: 10_000...14_000, for: duration, &generator) {
            .crashPostgres(at: $1, outage: .seconds($0))
        }
    }

    static let mail: Scenario = {
        var scenario = Scenario("mail", "a mail server that refuses, is slow, loses its answers, and dies") {
            generator, duration in
            turns([0, 1, 2, 3, 4], every: 5_000...8_000, for: duration, &generator) { choice, at in
                switch choice {
                case 0: .crashMail(at: at, outage: .seconds(3))
                case 1: .cut(.mail, at: at)
                case 2:
                    .misbehave(
                        .mail, .trickle(bytes: 100, pause: .milliseconds(20)), "trickle", at: at, lasting: .seconds(4))
                case 3: .misbehave(.mail, .delay(.milliseconds(400)), "400 ms late", at: at, lasting: .seconds(4))
                default: .orphan(.mail, at: at)
                }
            }
        }
        scenario.mailTrouble = 0.4
        scenario.settling = .seconds(240)
        return scenario
    }()

    static let network: Scenario = {
        var scenario = Scenario("network", "connections cut, late, half-open, trickling, swallowed") {
            generator, duration in
            var cases: [(Link, Int)] = []
            for link in [Link.ingressBroker, .workerBroker, .database] {
                for word in 0..<7 { cases.append((link, word)) }
            }
            return turns(cases, every: 4_000...7_000, for: duration, &generator) { pair, at in
                let link = pair.0
                return switch pair.1 {
                case 0: .cut(link, at: at)
                case 1: .orphan(link, at: at)
                case 2: .misbehave(link, .delay(.milliseconds(700)), "700 ms late", at: at, lasting: .seconds(4))
                case 3:
                    .misbehave(
                        link, .trickle(bytes: 400, pause: .milliseconds(10)), "trickle", at: at, lasting: .seconds(4))
                case 4: .misbehave(link, .blackHole, "black hole", at: at, lasting: .seconds(5))
                case 5: .misbehave(link, .mute, "answers are swallowed", at: at, lasting: .seconds(4))
                default: .misbehave(link, .stall, "nothing is read", at: at, lasting: .seconds(5))
                }
            }
        }
        scenario.duration = .seconds(60)
        return scenario
    }()

    static let protocolMoments: Scenario = {
        var scenario = Scenario("protocol", "the broker's connection is cut or swallowed at each moment of AMQP") {
            generator, duration in
            var cases: [(Link, BrokerProxy.Trap)] = []
            for action in BrokerProxy.Trap.Action.allCases {
                for method in AMQPMethod.opening + AMQPMethod.publishing {
                    cases.append((.ingressBroker, BrokerProxy.Trap(method, action)))
                }
                for method in AMQPMethod.opening + AMQPMethod.publishing + AMQPMethod.consuming {
                    cases.append((.workerBroker, BrokerProxy.Trap(method, action)))
                }
            }
            return turns(cases, every: 700...1_500, for: duration, &generator) { .trap($0.0, $0.1, at: $1) }
        }
        scenario.duration = .seconds(60)
        return scenario
    }()

    // MARK: Time and change

    static let clock: Scenario = {
        var scenario = Scenario("clock", "the wall clocks of processes jump by up to an hour, both ways") {
            generator, duration in
            let names = ["ingress-1", "sync-1", "scheduling-1", "notification-1", "notification-2", "sync-2"]
            var offsets = [3_600, -3_600, 600, -120, 0, 90]
            offsets.shuffle(using: &generator)
            var turn = 0
            return turns(names, every: 2_500...4_500, for: duration, &generator) { name, at in
                turn += 1
                return .stepClock(name, by: offsets[turn % offsets.count], at: at)
            }
        }
        scenario.stepsClocks = true
        return scenario
    }()

    static let migration = Scenario("migration", "the schema grows under load") { generator, duration in
        turns([1, 2, 3, 4, 5, 6], every: 6_000...8_000, for: duration, &generator, isShuffled: false) {
            .migrate(round: $0, at: $1)
        }
    }

    /// The clock is scaled: the broker is away for all of the run but 15 s, and 30 minutes are `--seconds 1815`. Nothing else
    /// is: heartbeats, time limits and pauses are the real ones, so a shorter outage differs in how much piles up.
    static let outage: Scenario = {
        var scenario = Scenario("outage", "the broker is away while 200 webhooks come each second") {
            generator, duration in
            let at = Duration.milliseconds(Int.random(in: 3_000...6_000, using: &generator))
            return [.brokerAway(at: at, outage: max(duration - .seconds(15), .seconds(1)))]
        }
        scenario.rate = 200
        scenario.duration = .seconds(30)
        scenario.settling = .seconds(900)
        return scenario
    }()

    // MARK: Everything

    /// One fault of nearly every kind in each round: what continuous integration runs for a minute, and a release for hours.
    static let mixed: Scenario = {
        var scenario = Scenario("mixed", "one of nearly every fault, shuffled") { generator, duration in
            var number = 0
            let makers: [(Duration) -> Fault] = [
                { .kill("ingress-1", at: $0) }, { .kill("sync-1", at: $0) }, { .kill("scheduling-2", at: $0) },
                { .kill("notification-1", at: $0) }, { .kill("dead-letters-1", at: $0) },
                { .crashPostgres(at: $0, outage: .seconds(2)) }, { .crashMail(at: $0, outage: .seconds(2)) },
                { .killLeader(of: "scheduling", at: $0, outage: .seconds(3)) },
                { .killRelays(at: $0, .workerBroker, outage: .seconds(2)) },
                { .cut(.workerBroker, at: $0) }, { .orphan(.ingressBroker, at: $0) }, { .cut(.database, at: $0) },
                { .misbehave(.workerBroker, .blackHole, "black hole", at: $0, lasting: .seconds(4)) },
                { .misbehave(.database, .delay(.milliseconds(300)), "300 ms late", at: $0, lasting: .seconds(3)) },
                { .trap(.ingressBroker, .init(AMQPMethod.publishing[2], .cutAfter), at: $0) },
                { .trap(.ingressBroker, .init(AMQPMethod.publishing[3], .cutBefore), at: $0) },
                { .trap(.workerBroker, .init(AMQPMethod.consuming[4], .cutBefore), at: $0) },
                { .trap(.workerBroker, .init(AMQPMethod.consuming[5], .swallowAfter), at: $0) },
                { .restart("sync-2", at: $0) }, { .restart("ingress-2", at: $0) },
                {
                    number += 1
                    return .poison(Fault.Poison.allCases[number % 4], id: "poison-\(number)", at: $0)
                },
            ]
            return turns(makers, every: 2_000...3_500, for: duration, &generator) { $0($1) }
        }
        scenario.duration = .seconds(60)
        scenario.mailTrouble = 0.1
        return scenario
    }()

    // MARK: Making schedules

    /// One fault after another, in rounds through all the choices, with a pause drawn before each (milliseconds).
    private static func turns<Choice>(
        _ choices: [Choice], every pause: ClosedRange<Int>, for duration: Duration, _ generator: inout SeededGenerator,
        isShuffled: Bool = true, _ make: (Choice, Duration) -> Fault
    ) -> [Fault] {
        var faults: [Fault] = []
        var at = Duration.milliseconds(Int.random(in: 1_000...3_000, using: &generator))
        while at < duration {
            for choice in isShuffled ? choices.shuffled(using: &generator) : choices where at < duration {
                faults.append(make(choice, at))
                at += .milliseconds(Int.random(in: pause, using: &generator))
            }
        }
        return faults
    }
}
