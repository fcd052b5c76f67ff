import ArgumentParser
import Foundation
import Postgres
import Settings
import Topology

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show queues, rates, what waits in the database, workers alive and dead letters.",
        discussion:
            """
            Queues and rates need RABBITMQ_MANAGEMENT_URL; without it, or without the broker, the rest is shown. With \
            --watch, a database that goes away is reported on standard error and asked again.
            """)

    @Flag(help: "Print JSON.") var json = false
    @Flag(help: "Show it again every two seconds until Ctrl-C.") var watch = false

    func run() async throws {
        try await Database.with("status") { pool in
            guard watch else { return try show(await StatusSnapshot.take(pool: pool)) }
            while true {
                do {
                    let snapshot = try await StatusSnapshot.take(pool: pool)
                    clear()
                    try show(snapshot)
                } catch let error as CancellationError {
                    throw error
                } catch {
                    // Whoever watches an outage wants to see its end, too.
                    clear()
                    let failure = Failure(error)
                    Terminal.complain("\(Output.time(Date())) \(failure.message) Trying again every two seconds.")
                }
                try await Task.sleep(for: .seconds(2))
            }
        }
    }

    private func clear() {
        if !json, Terminal.isInteractive { print("\u{1B}[2J\u{1B}[H", terminator: "") }
    }

    private func show(_ snapshot: StatusSnapshot) throws {
        if json { try Output.json(snapshot) } else { Self.show(snapshot) }
    }

    private static func show(_ snapshot: StatusSnapshot) {
        print("Neff Scheduling at \(Output.time(snapshot.takenAt))")
        print()
        if let queues = snapshot.queues {
            show(queues)
        } else {
            print("Queues: unknown (\(snapshot.queuesUnknownBecause ?? "no answer"))")
        }
        for pause in snapshot.pauses {
            print(
                "\(pause.queue) is PAUSED by \(pause.by) for \(Output.age(since: pause.since, now: snapshot.takenAt)): "
                    + "\(pause.reason ?? "no reason given")")
        }
        for outage in snapshot.outages {
            let next = outage.nextTrialAt.map { "next trial at \(Output.time($0))" } ?? "being tried"
            print(
                "\(outage.dependency) is AWAY for \(outage.worker): \(outage.failures) failures in a row, the last "
                    + "\(outage.errorCode ?? "unknown"); \(next). What needs it waits.")
        }
        print()
        for lag in snapshot.lags {
            let age = lag.oldest.map { ", the oldest for \(Output.age(since: $0, now: snapshot.takenAt))" } ?? ""
            print("\(lag.name): \(lag.pending) waiting\(age)")
        }
        let notifications = snapshot.notifications.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        print("Notifications: \(notifications.isEmpty ? "none waiting" : notifications.joined(separator: ", "))")
        print()
        if snapshot.workers.isEmpty {
            print("Workers: none has been seen in the last hour. Start one with `neff worker all`.")
        } else {
            var table = Table("WORKER", "ROLE", "STATE", "SEEN", "HANDLED", "RETRIED", "DEAD", "IN HAND")
            for worker in snapshot.workers {
                table.add(
                    worker.id, worker.role, worker.state,
                    Output.age(since: worker.seenAt, now: snapshot.takenAt) + " ago",
                    String(worker.handled), String(worker.retried), String(worker.deadLettered), String(worker.inFlight)
                )
            }
            table.print()
        }
        if !snapshot.drains.isEmpty {
            print()
            var table = Table("LAST STOPPED", "AT", "IN HAND", "FINISHED", "POSTPONED", "BURNED", "MS")
            for drain in snapshot.drains {
                table.add(
                    drain.worker, Output.time(drain.stoppedAt), String(drain.inHand), String(drain.finished),
                    String(drain.postponed), String(drain.deliveryCountsBurned), String(drain.ms))
            }
            table.print()
        }
        print()
        if snapshot.deadLetters.isEmpty {
            print("Dead letters: none")
        } else {
            var table = Table("DEAD LETTERS OF", "COUNT", "OLDEST", "LAST REASON")
            for group in snapshot.deadLetters {
                table.add(
                    group.queue, String(group.count), Output.age(since: group.oldest, now: snapshot.takenAt),
                    group.lastReason)
            }
            table.print()
            print("Look at them with `neff dead-letters list`.")
        }
    }

    /// Every work queue, and of the others those that hold something.
    private static func show(_ queues: [QueueDepth]) {
        let work = (try? TopologyDocument.shipped())?.workQueues.keys.filter { $0 != "canary" } ?? []
        var table = Table("QUEUE", "READY", "UNACKED", "IN/S", "OUT/S", "CONSUMERS")
        for queue in queues where work.contains(queue.name) || (queue.ready ?? 0) + (queue.unacknowledged ?? 0) > 0 {
            table.add(
                queue.name, Self.count(queue.ready), Self.count(queue.unacknowledged), Self.rate(queue.publishRate),
                Self.rate(queue.deliverRate), Self.count(queue.consumers))
        }
        table.print()
        let idle = queues.filter { work.contains($0.name) && $0.consumers == 0 }.map(\.name)
        if !idle.isEmpty { print("Nobody consumes \(idle.joined(separator: ", ")). Start a worker of that role.") }
        let missing = Set(work).subtracting(queues.map(\.name)).sorted()
        if !missing.isEmpty {
            print("The broker does not have \(missing.joined(separator: ", ")). Run `neff topology apply`.")
        }
    }

    private static func count(_ value: Int?) -> String { value.map(String.init) ?? "-" }

    private static func rate(_ value: Double) -> String {
        value.formatted(.number.precision(.fractionLength(value < 10 ? 1 : 0)).grouping(.never))
    }
}
