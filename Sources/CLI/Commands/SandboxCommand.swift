import ArgumentParser
import Domain
import Foundation
import Persistence
import Postgres
import Sandbox
import Settings
import Transport

struct SandboxCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sandbox", abstract: "Play the outside world on loopback, for demos and tests.",
        subcommands: [PlayDay.self, Deliveries.self])

    struct PlayDay: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "day",
            abstract: "Play a day at Neff Paving through the front door, and account for what came of it.",
            discussion: """
                Sends signed webhooks and staff requests to a running ingress, good ones and bad ones, waits until the \
                workers are done, and compares what was booked and mailed with what should have been. Exit code 0 only \
                if the account adds up. Refused in production mode.

                Needs CALENDLY_WEBHOOK_SIGNING_KEY as the ingress has it, DATABASE_URL to see what still waits, and \
                NEFF_API_KEY, the API key of a dispatcher.
                """)

        @Option(help: "Where the ingress is.") var ingress = "http://127.0.0.1:8080"
        @Option(help: "The file in which the development mail server keeps accepted mail.") var mailbox: String
        @Option(help: "Seconds to wait for the workers after the last request.") var patience = 60
        @Flag(help: "Print the account as JSON.") var json = false

        func run() async throws {
            let settings = try Settings.load()
            guard try settings.value(Keys.mode) != .production else {
                throw Failure(.configuration, "NEFF_MODE is production; the sandbox plays in development only.")
            }
            // No option: others can see arguments.
            guard let apiKey = ProcessInfo.processInfo.environment["NEFF_API_KEY"] else {
                throw Failure(.usage, "NEFF_API_KEY is not set. `neff keys create` makes an API key.")
            }
            let target = Day.Target(ingress: ingress, apiKey: apiKey, signingKey: try settings.value(Keys.signingKey))
            let http = HTTPClient(name: "sandbox")
            let account = try await Database.with("sandbox") { pool in
                let run = "run\(Int(Date().timeIntervalSince1970))"
                let steps = StepPrinter(isQuiet: json)
                var day = Day(target: target, http: http, run: run, now: Date()) { steps.show($0) }
                let before = try await Self.deadLetters(pool)
                let plan = try await day.play()
                steps.finish()
                return try await settle(plan, target: target, http: http, pool: pool, lettersBefore: before)
            }
            await http.close()
            if json { try Output.json(DayReport(account)) } else { DayReport(account).print() }
            guard account.addsUp else { throw ExitCode(Failure.Code.findings.rawValue) }
        }

        /// Looks until the account adds up and nothing is on its way any more, or patience ends.
        private func settle(
            _ plan: DayPlan, target: Day.Target, http: HTTPClient, pool: PostgresPool, lettersBefore: Int
        ) async throws -> DayAccount {
            let front = Front(target: target, http: http)
            let deadline = ContinuousClock.now + .seconds(patience)
            while true {
                let waiting = try await Self.waiting(pool)
                let account = DayAccount(
                    plan: plan, consultations: try await front.consultations(), jobs: try await front.jobs(),
                    mails: try Mailbox(path: mailbox).read(),
                    deadLetters: try await Self.deadLetters(pool) - lettersBefore)
                if waiting == 0, account.addsUp { return account }
                if ContinuousClock.now >= deadline { return account }
                try await Task.sleep(for: .milliseconds(300))
            }
        }

        private static func waiting(_ pool: PostgresPool) async throws -> Int {
            try await pool.query(
                """
                select (select count(*) from outbox where available_at <= now()) + (select count(*) from spool)
                    + (select count(*) from notifications where status in ('planned', 'sending'))
                    + (select count(*) from operations where status = 'pending') as count
                """)[0]["count"]
        }

        private static func deadLetters(_ pool: PostgresPool) async throws -> Int {
            try await pool.query("select count(*) as count from dead_letters where status = 'dead'")[0]["count"]
        }
    }
}

extension SandboxCommand {
    struct Deliveries: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print signed bookings, one a line: signature header, tab, body. For load generators.",
            discussion: "Signed with CALENDLY_WEBHOOK_SIGNING_KEY as of now; they turn stale after the tolerance.")

        @Option(help: "How many.") var count = 1_000

        func validate() throws {
            if !(1...1_000_000).contains(count) { throw ValidationError("--count must be 1 to 1000000") }
        }

        func run() async throws {
            let settings = try Settings.load()
            let key = try settings.value(Keys.signingKey)
            let now = Date()
            let run = "load\(Int(now.timeIntervalSince1970))"
            var account = CalendlyAccount(run: run, now: now)
            let calendar = SiteCalendar(now: now)
            let host = CalendlyAccount.host("Estimator East", email: "estimator-east@neffpaving.example")
            for index in 0..<count {
                let booking = account.book(
                    .residential, name: "Customer \(index)", email: "customer.\(index)@\(run).example.com",
                    at: calendar.businessDay(2 + index / 4 % 180, hour: 8 + 2 * (index % 4)),
                    address: "1 Orchard Hill Rd",
                    host: host)
                let delivery = account.created(booking)
                print("\(delivery.signature(key: key, at: now))\t\(String(decoding: delivery.body, as: UTF8.self))")
            }
        }
    }
}

/// Shows each step on one line that is written over, or on lines of their own where nobody watches.
private struct StepPrinter: Sendable {
    let isQuiet: Bool

    func show(_ step: String) {
        if isQuiet { return }
        if Terminal.isInteractive {
            print("\r\u{1B}[2K  \(step.prefix((Terminal.width ?? 80) - 4))", terminator: "")
            fflush(nil)
        } else {
            print("  \(step)")
        }
    }

    func finish() {
        if Terminal.isInteractive, !isQuiet { print("\r\u{1B}[2K", terminator: "") }
        if !isQuiet { print("waiting for the workers ...") }
    }
}
