import Foundation
import Postgres
import Synchronization
import TestSupport

/// Where faults are done: the installation, its servers, and what the audit will have to know.
package struct Stage: Sendable {
    package let site: Site
    package let record: Record
    /// Ids of poison that was put into the broker.
    let poison: Notes
    /// When the load is over and nothing more can be expected of it.
    var endsAt = ContinuousClock.now
    /// Says what a fault did where the schedule could not know it.
    var say: @Sendable (String) -> Void

    var servers: Servers { site.servers }
}

/// One thing that is done to a running installation, at a time of the schedule.
package struct Fault: Sendable {
    /// After the start of the load.
    package let at: Duration
    /// What it does, with everything that was drawn.
    package let text: String
    let perform: @Sendable (Stage) async throws -> Void

    init(at: Duration, _ text: String, _ perform: @escaping @Sendable (Stage) async throws -> Void) {
        self.at = at
        self.text = text
        self.perform = perform
    }
}

/// Which proxy a fault is about.
enum Link: String, CaseIterable, Sendable {
    case ingressBroker = "ingress-broker"
    case workerBroker = "worker-broker"
    case database
    case mail

    func proxy(_ site: Site) -> BrokerProxy {
        switch self {
        case .ingressBroker: site.ingressBroker
        case .workerBroker: site.workerBroker
        case .database: site.databaseProxy
        case .mail: site.mailProxy
        }
    }
}

/// The faults that schedules are made of.
extension Fault {
    static func kill(_ name: String, at: Duration) -> Fault {
        Fault(at: at, "SIGKILL \(name)") { try await $0.site.kill(name) }
    }

    /// The relays live in the workers and ingresses; they are killed when they have something to relay.
    static func killRelays(at: Duration, _ link: Link, outage: Duration) -> Fault {
        let roles = link == .ingressBroker ? ["ingress"] : ["sync", "scheduling", "notification"]
        return Fault(at: at, "\(link.rawValue) away for \(outage), then SIGKILL of \(roles) while they relay") {
            stage in
            let proxy = link.proxy(stage.site)
            proxy.accepts = false
            proxy.cut()
            try await Task.sleep(for: outage)
            let waiting = try await stage.site.unsettled()
            stage.say("outbox \(waiting["outbox"] ?? 0), spool \(waiting["spool"] ?? 0)")
            proxy.accepts = true
            for name in stage.site.names(of: roles) { try await stage.site.kill(name) }
            // They come up, begin to relay, and die again.
            for name in stage.site.names(of: roles) { try await stage.site.waitUntilReady(name) }
            for name in stage.site.names(of: roles) { try await stage.site.kill(name) }
        }
    }

    static func restartBroker(at: Duration, kills: Bool) -> Fault {
        Fault(at: at, kills ? "SIGKILL of every broker node, then start" : "every broker node is stopped and started") {
            let names = $0.servers.nodes.map { "rabbit\($0)" }
            if kills { try await $0.servers.kill(names) } else { try await $0.servers.stop(names) }
            try await $0.servers.start(names)
        }
    }

    static func killLeader(of queue: String, at: Duration, outage: Duration) -> Fault {
        Fault(at: at, "SIGKILL of the node that leads queue \(queue), back after \(outage)") { stage in
            let host = stage.site.virtualHost
            let leader = try await stage.servers.withManagement { try await $0.queue(queue, virtualHost: host).leader }
            guard let node = leader?.prefix(while: { $0 != "-" }), node.hasPrefix("rabbit") else {
                throw Servers.ControlFailure(description: "queue \(queue) has no leader that may be killed")
            }
            stage.say("that is \(node)")
            try await stage.servers.kill([String(node)])
            try await Task.sleep(for: outage)
            try await stage.servers.start([String(node)])
        }
    }

    static func killNodes(_ nodes: [Int], at: Duration, outage: Duration) -> Fault {
        let names = nodes.map { "rabbit\($0)" }
        return Fault(at: at, "SIGKILL of \(names.joined(separator: " and ")), back after \(outage)") {
            try await $0.servers.kill(names)
            try await Task.sleep(for: outage)
            try await $0.servers.start(names)
        }
    }

    static func crashPostgres(at: Duration, outage: Duration) -> Fault {
        Fault(at: at, "SIGKILL of PostgreSQL's postmaster, back after \(outage)") {
            try await $0.servers.kill(["postgres"])
            try await Task.sleep(for: outage)
            try await $0.servers.start(["postgres"])
        }
    }

    static func crashMail(at: Duration, outage: Duration) -> Fault {
        Fault(at: at, "SIGKILL of the mail server, back after \(outage)") {
            try await $0.servers.kill(["smtp"])
            try await Task.sleep(for: outage)
            try await $0.servers.start(["smtp"])
        }
    }

    static func cut(_ link: Link, at: Duration) -> Fault {
        Fault(at: at, "\(link.rawValue): every connection is cut") { link.proxy($0.site).cut() }
    }

    static func orphan(_ link: Link, at: Duration) -> Fault {
        Fault(at: at, "\(link.rawValue): half-open, the servers' halves are closed and the clients are not told") {
            link.proxy($0.site).orphan()
        }
    }

    static func misbehave(
        _ link: Link, _ behaviour: BrokerProxy.Behaviour, _ word: String, at: Duration, lasting: Duration
    ) -> Fault {
        Fault(at: at, "\(link.rawValue): \(word) for \(lasting)") { stage in
            link.proxy(stage.site).behaviour = behaviour
            try await Task.sleep(for: lasting)
            link.proxy(stage.site).behaviour = .pass
            // What was swallowed is gone: such a connection cannot go on.
            if [.blackHole, .mute].contains(behaviour) { link.proxy(stage.site).cut() }
        }
    }

    /// The first connection to reach a moment of the protocol is cut or swallowed there.
    static func trap(_ link: Link, _ trap: BrokerProxy.Trap, at: Duration) -> Fault {
        let isOpening = !["basic.publish", "basic.ack (confirm)", "basic.deliver", "basic.ack"].contains(
            trap.method.name)
        return Fault(at: at, "\(link.rawValue): \(trap.action.rawValue) \(trap.method.name)") { stage in
            let proxy = link.proxy(stage.site)
            proxy.trap = trap
            // A connection has to be opened anew for its opening to fail.
            if isOpening { proxy.cut() }
            let deadline = ContinuousClock.now + .seconds(20)
            while proxy.trap != nil, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(50)) }
            let isMissed = proxy.trap != nil
            proxy.trap = nil
            if isMissed, deadline < stage.endsAt {
                stage.record.trouble("nobody reached \(trap.method.name) on \(link.rawValue) within 20 s")
            }
        }
    }

    static func diskAlarm(node: Int, at: Duration, lasting: Duration) -> Fault {
        Fault(at: at, "disk alarm on rabbit\(node) for \(lasting): publishers are blocked") { stage in
            try await stage.servers.rabbitmqctl(node, "set_disk_free_limit", "100000GB")
            try await Task.sleep(for: lasting)
            try await stage.servers.rabbitmqctl(node, "set_disk_free_limit", "50MB")
        }
    }

    /// A message that no handler can read, past the ingress.
    static func poison(_ kind: Poison, id: String, at: Duration) -> Fault {
        Fault(at: at, "poison \(id): \(kind.rawValue)") { stage in
            let (exchange, type, body) = kind.message
            stage.poison.insert(id)
            let host = stage.site.virtualHost
            try await stage.servers.withManagement {
                try await $0.publish(
                    Array(body.utf8), virtualHost: host, exchange: exchange, routingKey: type, messageID: id, type: type
                )
            }
        }
    }

    enum Poison: String, CaseIterable, Sendable {
        case garbage = "bytes that are no JSON, for sync"
        case wrongShape = "JSON of another shape, for sync"
        case emptyCommand = "a command without its fields, for scheduling"
        case unknownNotice = "an order to send a notice that is none, for notification"

        var message: (exchange: String, type: String, body: String) {
            switch self {
            case .garbage: ("inbound", "calendly.invitee.created", "\u{1}\u{2} { not JSON")
            case .wrongShape: ("inbound", "calendly.invitee.canceled", #"{"event":"invitee.canceled","payload":[]}"#)
            case .emptyCommand: ("commands", "job.create", "{}")
            case .unknownNotice: ("commands", "notification.send", #"{"nothing":true}"#)
            }
        }
    }

    /// The broker cannot be reached by anybody; what the ingresses accept meanwhile lies in the spool.
    static func brokerAway(at: Duration, outage: Duration) -> Fault {
        Fault(at: at, "nobody reaches the broker for \(outage)") { stage in
            for link in [Link.ingressBroker, .workerBroker] {
                link.proxy(stage.site).accepts = false
                link.proxy(stage.site).cut()
            }
            try await Task.sleep(for: outage)
            stage.say("\(try await stage.site.unsettled()["spool"] ?? 0) messages lie in the spool")
            for link in [Link.ingressBroker, .workerBroker] { link.proxy(stage.site).accepts = true }
        }
    }

    /// The wall clock of one process jumps; its monotonic clock does not, as with `clock_settime(2)`.
    static func stepClock(_ name: String, by seconds: Int, at: Duration) -> Fault {
        Fault(at: at, "the clock of \(name) is set to \(seconds >= 0 ? "+" : "")\(seconds) s") { stage in
            try stage.site.setClock(of: name, offset: seconds)
        }
    }

    /// What the next version's expanding migration does, while this version works: columns, an index, a table.
    static func migrate(round: Int, at: Duration) -> Fault {
        Fault(at: at, "two `neff migrate up` at once, then expanding migration \(round)") { stage in
            async let first = stage.site.execute(["migrate", "up"])
            async let second = stage.site.execute(["migrate", "up"])
            for (code, output) in try await [first, second] where code != 0 {
                stage.record.trouble("neff migrate up ended with \(code): \(output)")
            }
            try await stage.site.expandSchema(round: round)
        }
    }

    static func restart(_ name: String, at: Duration) -> Fault {
        Fault(at: at, "SIGTERM \(name), then a new process") { stage in
            let code = try await stage.site.restart(name)
            if code != 0 { stage.record.trouble("\(name) ended with \(code) after SIGTERM") }
        }
    }
}

/// Words that are noted while a run goes on.
package final class Notes: Sendable {
    private let words = Mutex<Set<String>>([])

    package init() {}

    func insert(_ word: String) { words.withLock { _ = $0.insert(word) } }
    package var all: Set<String> { words.withLock { $0 } }
}
