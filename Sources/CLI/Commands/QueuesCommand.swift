import ArgumentParser
import Foundation
import Persistence
import Postgres
import Settings
import Topology

struct QueuesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queues", abstract: "Stop a queue and let it flow again, for every worker.",
        discussion: """
            A pause is kept in PostgreSQL: running workers follow within seconds, and those that start later too. Messages \
            wait in the broker; what a worker had in hand is finished. Each act goes to the operator log (`neff operator-log`).
            """,
        subcommands: [List.self, Pause.self, Resume.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the queues that workers take from.")

        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let pauses = try await Database.with("queues") { pool in try await QueuePauses.all(on: pool) }
            let (depths, unknownBecause) = await QueueDepth.allOrReason()
            let views = try PausableQueues.names().map { name in
                QueueView(
                    name, pause: pauses.first { $0.queue == name }, depth: depths?.first { $0.name == name })
            }
            if json {
                try Output.json(views)
                return
            }
            var table = Table("QUEUE", "STATE", "READY", "UNACKED", "CONSUMERS", "SINCE", "BY", "WHY")
            for view in views {
                table.add(
                    view.name, view.isPaused ? "paused" : "flowing", view.ready.map(String.init) ?? "?",
                    view.unacknowledged.map(String.init) ?? "?", view.consumers.map(String.init) ?? "?",
                    view.pausedAt.map(Output.time) ?? "", view.pausedBy ?? "", view.reason ?? "")
            }
            table.print()
            if let unknownBecause { print("Depths are unknown: \(unknownBecause)") }
        }
    }

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop a queue: no worker takes from it until it is resumed.",
            discussion: """
                Workers finish what they have in hand, because on RabbitMQ before 4.3 everything given back counts as a \
                delivery. A second pause changes nothing; the first reason stays.
                """)

        @Argument(help: "The queue, as in `neff queues list`.") var queue: String
        @Option(help: "Why; shown to everybody who looks.") var reason: String?
        @OptionGroup var by: OperatorOptions

        func run() async throws {
            let names = try PausableQueues.names()
            guard names.contains(queue) else {
                throw Failure(.usage, "no worker takes from \(queue); the queues are \(names.joined(separator: ", "))")
            }
            let isNew = try await Database.with("queues") { pool in
                try await pool.withTransaction { transaction in
                    let isNew = try await QueuePauses.pause(queue, reason: reason, by: by.actor, in: transaction)
                    guard isNew else { return false }
                    try await OperatorLog.append(
                        OperatorAct(actor: by.actor, kind: .pauseQueue, subject: queue, reason: reason),
                        in: transaction)
                    return true
                }
            }
            print(isNew ? "paused \(queue)" : "\(queue) was paused already")
        }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Let a queue flow again.")

        @Argument(help: "The queue.") var queue: String
        @Option(help: "Why; kept in the operator log.") var reason: String?
        @OptionGroup var by: OperatorOptions

        func run() async throws {
            let wasPaused = try await Database.with("queues") { pool in
                try await pool.withTransaction { transaction in
                    guard try await QueuePauses.resume(queue, in: transaction) else { return false }
                    try await OperatorLog.append(
                        OperatorAct(actor: by.actor, kind: .resumeQueue, subject: queue, reason: reason),
                        in: transaction)
                    return true
                }
            }
            print(wasPaused ? "resumed \(queue)" : "\(queue) was not paused")
        }
    }
}

extension OperatorAct.Kind {
    static let pauseQueue = Self(rawValue: "queue.pause")
    static let resumeQueue = Self(rawValue: "queue.resume")
}

/// The queues that `neff worker` takes from.
private enum PausableQueues {
    static func names() throws -> [String] {
        let work = try TopologyDocument.shipped().workQueues.keys.sorted().filter { $0 != "canary" }
        return work + work.map { "\($0).dead" } + ["unrouted"]
    }
}

private struct QueueView: Encodable {
    let name: String
    let isPaused: Bool
    let pausedAt: Date?
    let pausedBy: String?
    let reason: String?
    let ready: Int?
    let unacknowledged: Int?
    let consumers: Int?

    init(_ name: String, pause: QueuePauses.Pause?, depth: QueueDepth?) {
        self.name = name
        isPaused = pause != nil
        pausedAt = pause?.since
        pausedBy = pause?.by
        reason = pause?.reason
        ready = depth?.ready
        unacknowledged = depth?.unacknowledged
        consumers = depth?.consumers
    }
}
