import ArgumentParser
import Foundation
import Persistence

struct AlertsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alerts", abstract: "What somebody should see to.",
        discussion: """
            The dead-letters worker raises an alert when its condition begins and clears it when that is over. Exits with 1 \
            while any is open, so that a monitor can ask this command.
            """)

    @Flag(help: "Also those that are over.") var all = false
    @Option(help: "At most this many, 1 to 500.") var limit = 100
    @Flag(help: "Print JSON.") var json = false

    func validate() throws {
        if !(1...500).contains(limit) { throw ValidationError("--limit must be 1 to 500") }
    }

    func run() async throws {
        let alerts = try await Database.with("alerts") { pool in
            try await Alerts.list(includesCleared: all, limit: limit, on: pool)
        }
        if json {
            try Output.json(alerts.map(AlertView.init))
        } else if alerts.isEmpty {
            print(all ? "There were no alerts." : "Nothing needs to be seen to.")
        } else {
            var table = Table("SINCE", "STATE", "KIND", "KEY", "WHAT")
            for alert in alerts {
                table.add(
                    Output.time(alert.raisedAt), alert.clearedAt.map { "over \(Output.time($0))" } ?? "open",
                    alert.kind.rawValue, alert.key, alert.summary)
            }
            table.print()
        }
        if alerts.contains(where: { $0.clearedAt == nil }) { throw ExitCode(Failure.Code.findings.rawValue) }
    }
}

private struct AlertView: Encodable {
    let id: String
    let kind: String
    let key: String
    let summary: String
    let raisedAt: Date
    let clearedAt: Date?

    init(_ alert: Alert) {
        id = alert.id
        kind = alert.kind.rawValue
        key = alert.key
        summary = alert.summary
        raisedAt = alert.raisedAt
        clearedAt = alert.clearedAt
    }
}
