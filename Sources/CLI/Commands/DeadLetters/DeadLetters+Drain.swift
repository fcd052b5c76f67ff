import AMQP
import ArgumentParser
import Domain
import Foundation
import Logging
import Persistence
import Postgres
import Settings
import Topology
import WorkerRuntime

extension DeadLettersCommand {
    struct Drain: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take letters out of the broker into a file, when PostgreSQL is away for long.",
            discussion: """
                For the day when the dead-letter queues fill up and the journal cannot be written. Each batch is on disk \
                before the broker forgets it. `neff dead-letters import FILE` brings the letters into the journal once \
                PostgreSQL is back.
                """)

        @Flag(help: "Says that this takes letters past the journal.") var direct = false
        @Option(name: .shortAndLong, help: "The file; lines are added if it is there.") var output: String
        @Flag(help: "Even though PostgreSQL answers.") var force = false

        /// Letters between two fsyncs.
        private static let batchSize = 50

        func validate() throws {
            if !direct { throw ValidationError("add --direct: letters go to the file instead of the journal") }
            if output == "-" { throw ValidationError("--output must be a file, because it is made durable") }
        }

        func run() async throws {
            let settings = try Settings.load()
            if !force, await Self.isDatabaseThere() {
                throw Failure(
                    .findings,
                    "PostgreSQL answers, so `neff worker dead-letters` can journal. Add --force to drain anyway.")
            }
            let queues = try TopologyDocument.shipped().workQueues.keys.sorted().map { "\($0).dead" } + ["unrouted"]
            let file = try LetterFile(path: output, appends: true)
            let logger = Logger(label: "neff.drain") { _ in SwiftLogNoOpLogHandler() }
            let connection = try await Connection.open(
                try Broker.configuration(settings, purpose: "drain"), logger: logger)
            var total = 0
            do {
                for queue in queues {
                    let count = try await Self.drain(queue, over: connection, into: file)
                    if count > 0 { print("\(count) letters from \(queue)") }
                    total += count
                }
                await connection.close()
            } catch {
                await connection.close()
                Terminal.complain("\(total) letters are in \(output); what was not acknowledged is still in the broker")
                throw error
            }
            print(
                "\(total) letters are in \(output); `neff dead-letters import \(output)` brings them into the journal")
        }

        private static func drain(_ queue: String, over connection: Connection, into file: LetterFile) async throws
            -> Int
        {
            var count = 0
            while true {
                var deliveries: [Delivery] = []
                while deliveries.count < batchSize, let delivery = try await connection.get(queue) {
                    deliveries.append(delivery)
                }
                if deliveries.isEmpty { return count }
                let now = Date()
                try file.write(deliveries.map { DeadLetter($0, id: .make(at: now), now: now) })
                try file.synchronise()
                for delivery in deliveries { try await connection.acknowledge(delivery) }
                count += deliveries.count
            }
        }

        private static func isDatabaseThere() async -> Bool {
            do {
                return try await Database.with("dead-letters", checksSchema: false) { pool in
                    _ = try await pool.query("select 1")
                    return true
                }
            } catch {
                return false
            }
        }
    }
}
