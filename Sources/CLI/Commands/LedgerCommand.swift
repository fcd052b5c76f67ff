import ArgumentParser
import Foundation
import Persistence
import Postgres
import Settings
import WorkerRuntime

struct LedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger", abstract: "Account for every message that was ever accepted.",
        subcommands: [Balance.self, Close.self])

    struct Balance: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the equation: accepted = done + dead + discarded + outbox + spool + broker.",
            discussion: """
                Needs RABBITMQ_MANAGEMENT_URL. Ends with 1 if something is missing, and names it. What a consumer must \
                handle counts for each consumer apart. While messages are on their way, as many surplus copies in the \
                broker can hide a loss; with empty queues the answer is exact.
                """)

        @Option(help: "Leave out what was accepted more than so many hours ago.") var hours: Int?
        @Option(
            help: """
                Looks until nothing is outstanding, 7 s apart: the broker's counts lag by up to 5 s, which can hide a loss \
                as well as feign one. The last look counts.
                """)
        var looks = 3
        @Flag(help: "Print JSON.") var json = false

        func validate() throws {
            if let hours, hours < 1 { throw ValidationError("--hours must be 1 or more") }
            if !(1...100).contains(looks) { throw ValidationError("--looks must be 1 to 100") }
        }

        func run() async throws {
            let since = hours.map { Date().addingTimeInterval(-3_600 * Double($0)) }
            let routes = try LedgerRoutes.shipped()
            let report = try await Database.with("ledger") { pool in
                var report = try await BalanceReport.take(since: since, routes: routes, pool: pool)
                for _ in 1..<looks where !report.isProven {
                    try await Task.sleep(for: .seconds(7))
                    report = try await BalanceReport.take(since: since, routes: routes, pool: pool)
                }
                return report
            }
            if json { try Output.json(report) } else { report.print() }
            if !report.isBalanced { throw ExitCode(Failure.Code.findings.rawValue) }
        }
    }

    struct Close: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Forget old entries whose message is done or written off; what is open stays.",
            discussion: "Keeps the ledger small. Run it from a timer, such as daily with --days 30.")

        @Option(help: "Entries older than this; 1 or more.") var days: Int

        func validate() throws {
            if days < 1 { throw ValidationError("--days must be 1 or more") }
        }

        func run() async throws {
            let before = Date().addingTimeInterval(-86_400 * Double(days))
            let count = try await Database.with("ledger") { pool in try await Ledger.close(before: before, on: pool) }
            print("closed \(count) entries")
        }
    }
}

/// One balance, as it is printed.
private struct BalanceReport: Encodable {
    struct Line: Encodable {
        let consumer: String
        let accepted: Int
        let done: Int
        let dead: Int
        let discarded: Int
        let outbox: Int
        let spool: Int
        /// In the broker, or nowhere.
        let outstanding: Int
        let broker: Int
        let missing: Int
        /// Whether `suspects` are exactly the missing.
        let isExact: Bool
        let suspects: [Suspect]
    }

    struct Suspect: Encodable {
        let messageId: String
        let routingKey: String
        let acceptedAt: Date
    }

    struct QueueCount: Encodable {
        let name: String
        let ready: Int
        let inFlight: Int

        /// - Throws: while the broker has not counted the queue; a guess would look like a loss.
        init(_ depth: QueueDepth) throws {
            guard let ready = depth.ready, let inFlight = depth.unacknowledged else {
                throw Failure(.unavailable, "the broker has not counted \(depth.name) yet; try again in five seconds")
            }
            (name, self.ready, self.inFlight) = (depth.name, ready, inFlight)
        }
    }

    /// More names than these help nobody; the count is complete.
    private static let maxNames = 1_000

    let takenAt: Date
    let lines: [Line]
    let queues: [QueueCount]

    var isBalanced: Bool { lines.allSatisfy { $0.missing == 0 } }

    private var outstanding: Int { lines.reduce(0) { $0 + $1.outstanding } }

    /// Whether nothing hangs on what the broker says that it holds.
    var isProven: Bool { outstanding == 0 }

    static func take(since: Date?, routes: LedgerRoutes, pool: PostgresPool) async throws -> BalanceReport {
        guard let management = try Settings.load().optional(Keys.managementURL) else {
            throw Failure(.configuration, "RABBITMQ_MANAGEMENT_URL is not set; without it nobody knows what waits")
        }
        let consumers: @Sendable (String, String) -> [String] = { routes.consumers($0, $1) }
        let before = try await LedgerBalance.look(since: since, consumers: consumers, on: pool)
        let queues = try await counts(management: management)
        let after = try await LedgerBalance.look(since: since, consumers: consumers, on: pool)
        var inBroker: [String: Int] = [:]
        for queue in queues {
            inBroker[LedgerRoutes.consumer(ofQueue: queue.name), default: 0] += queue.ready + queue.inFlight
        }
        let verdicts = LedgerBalance.verdicts(before: before, inBroker: inBroker, after: after)
        return BalanceReport(
            takenAt: Date(),
            lines: verdicts.map { verdict in
                let account = verdict.account
                return Line(
                    consumer: account.consumer, accepted: account.accepted, done: account.done, dead: account.dead,
                    discarded: account.discarded, outbox: account.outbox, spool: account.spool,
                    outstanding: account.outstanding, broker: verdict.inBroker, missing: verdict.missing,
                    isExact: verdict.isExact,
                    suspects: verdict.suspects.prefix(maxNames).map {
                        Suspect(messageId: $0.messageID, routingKey: $0.routingKey, acceptedAt: $0.acceptedAt)
                    })
            },
            queues: queues.filter { $0.ready + $0.inFlight > 0 })
    }

    /// The broker counts every five seconds, so a queue that it has not counted yet is worth waiting for.
    private static func counts(management: String) async throws -> [QueueCount] {
        let virtualHost = try Broker.virtualHost()
        var depths = try await QueueDepth.all(management: management, virtualHost: virtualHost)
        for _ in 0..<10 where depths.contains(where: { $0.ready == nil || $0.unacknowledged == nil }) {
            try await Task.sleep(for: .seconds(2))
            depths = try await QueueDepth.all(management: management, virtualHost: virtualHost)
        }
        return try depths.map(QueueCount.init)
    }

    func print() {
        var table = Table(
            "CONSUMER", "ACCEPTED", "= DONE", "+ DEAD", "+ DISCARDED", "+ OUTBOX", "+ SPOOL", "+ OUTSTANDING", "BROKER",
            "MISSING")
        for line in lines {
            table.add(
                line.consumer, String(line.accepted), String(line.done), String(line.dead), String(line.discarded),
                String(line.outbox), String(line.spool), String(line.outstanding), String(line.broker),
                String(line.missing))
        }
        table.print()
        if !queues.isEmpty {
            Swift.print()
            var table = Table("IN THE BROKER", "READY", "IN FLIGHT")
            for queue in queues { table.add(queue.name, String(queue.ready), String(queue.inFlight)) }
            table.print()
        }
        Swift.print()
        if isBalanced {
            let rest =
                isProven ? "" : " as far as the broker's counts tell: \(outstanding) outstanding, and it holds enough"
            Swift.print("Balanced at \(Output.time(takenAt)): nothing is missing\(rest).")
            return
        }
        for line in lines where line.missing > 0 {
            Swift.print(
                line.isExact
                    ? "MISSING from \(line.consumer):"
                    : "MISSING from \(line.consumer): \(line.missing) of these, most likely the first; exact once its queues are empty:"
            )
            for suspect in line.suspects {
                Swift.print("  \(suspect.messageId)  \(suspect.routingKey)  \(Output.time(suspect.acceptedAt))")
            }
        }
    }
}
