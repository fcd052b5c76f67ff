import Foundation
import Telemetry
import Testing

/// What is written about the metrics agrees with the catalog, and the catalog with the code.
@Suite struct MetricTableTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../..").standardizedFileURL

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// The table of `docs/metrics.md`, as it has to be.
    private static func table() -> String {
        let rows = MetricCatalog.all.sorted { $0.name < $1.name }.map { metric in
            "| `\(metric.name)` | `\(metric.exposedName)` | \(metric.kind.rawValue) | \(metric.unit?.rawValue ?? "") | \(metric.help) |"
        }
        return
            ([
                "| Name | As Prometheus sees it | Kind | Unit | Meaning |",
                "| --- | --- | --- | --- | --- |",
            ] + rows)
            .joined(separator: "\n")
    }

    @Test func theDocumentedTableIsTheCatalog() throws {
        let document = try Self.text("docs/metrics.md")
        #expect(
            document.contains(Self.table() + "\n"), "put this into docs/metrics.md:\n\(Self.table())")
    }

    @Test func everyMetricOfTheCodeIsInTheCatalogAndTheOtherWayRound() throws {
        let sources = FileManager.default.enumerator(
            at: Self.root.appending(path: "Sources"), includingPropertiesForKeys: nil)
        var made: Set<String> = []
        while let file = sources?.nextObject() as? URL {
            guard file.pathExtension == "swift", !file.path.contains("/Telemetry/Metrics/") else {
                continue
            }
            let code = try String(contentsOf: file, encoding: .utf8)
            for match in code.matches(of: /(?:Counter|Gauge|Timer|Recorder|Meter)\(\s*label: "([^"\\]+)"/) {
                made.insert(String(match.1))
            }
        }
        // The relay's failures are named after its store.
        made.formUnion(["outbox.failures", "spool.failures"])
        let known = Set(MetricCatalog.all.map(\.name))
        #expect(made.subtracting(known) == [])
        #expect(known.subtracting(made) == ["telemetry.series.dropped"])
    }

    @Test func alertsAreAboutMetricsThatThereAre() throws {
        let rules = try Self.text("docker/alerts.yml")
        let known = Set(
            MetricCatalog.all.flatMap { metric in
                metric.kind == .histogram ? [metric.exposedName + "_bucket"] : [metric.exposedName]
            })
        var used: Set<String> = []
        let families =
            /\b((?:amqp|db|http|ingress|notifications|outbox|spool|telemetry|worker)_[a-z_]+)/
        for line in rules.split(separator: "\n")
        where !line.contains("action:") && !line.contains("summary:") {
            for match in line.matches(of: families) { used.insert(String(match.1)) }
        }
        #expect(used.count > 15)
        #expect(used.subtracting(known) == [])
    }

    @Test(
        .timeLimit(.minutes(1)),
        arguments: [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]])
    func promtoolAcceptsTheAlerts(arguments: [String]) throws {
        let (status, output) = try Self.promtool(arguments, in: "docker")
        #expect(status == 0, "\(output)")
    }

    @Test(.timeLimit(.minutes(1))) func everyAlertIsTested() throws {
        func names(_ path: String, _ pattern: Regex<(Substring, Substring)>) throws -> Set<String> {
            Set(try Self.text(path).matches(of: pattern).map { String($0.1) })
        }
        let alerts = try names("docker/alerts.yml", /alert: (\w+)/)
        #expect(alerts.count > 10)
        #expect(try names("docker/alerts.test.yml", /alertname: (\w+)\n\s+exp_alerts:\n/) == alerts)
    }

    private static func promtool(_ arguments: [String], in folder: String) throws -> (Int32, String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["promtool"] + arguments
        process.currentDirectoryURL = root.appending(path: folder)
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: text, as: UTF8.self))
    }
}
