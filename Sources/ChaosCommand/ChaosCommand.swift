import ArgumentParser
import Chaos
import Foundation

/// Hurts a running installation by a seeded schedule and audits what came of everything it accepted.
@main
struct ChaosCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "neff-chaos",
        abstract: "Break everything that can break, by a seeded schedule, and audit what was promised.",
        discussion: """
            Run it through scripts/chaos, which builds the program and starts private servers. Exit codes: 0 every promise \
            was kept; 1 one was broken; 2 a run could not take place.
            """)

    @Option(help: "Seed of load and faults; drawn and printed if not given.") var seed: UInt64?
    @Option(help: "Minutes of load for each scenario, instead of its own length.") var minutes: Double?
    @Option(help: "Seconds of load for each scenario, instead of its own length.") var seconds: Int?
    @Option(help: "Requests for each second, instead of the scenario's own rate.") var rate: Double?
    @Option(name: .customLong("scenario"), help: "Only this one; several times for several. All of them if not given.")
    var names: [String] = []
    @Flag(help: "List the scenarios and do nothing.") var list = false

    func validate() throws {
        for name in names where Scenario.named(name) == nil {
            throw ValidationError("there is no scenario \(name); --list shows all")
        }
        if let rate, !(1...2_000).contains(rate) { throw ValidationError("--rate must be 1 to 2000") }
        if let seconds, !(1...86_400).contains(seconds) { throw ValidationError("--seconds must be 1 to 86400") }
    }

    func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        if list {
            for scenario in Scenario.all {
                print(scenario.name.padding(toLength: 14, withPad: " ", startingAt: 0) + scenario.summary)
            }
            return
        }
        let say: @Sendable (String) -> Void = { FileHandle.standardOutput.write(Data(($0 + "\n").utf8)) }
        let environment = ProcessInfo.processInfo.environment
        guard let executable = environment["NEFF_EXECUTABLE"], let home = environment["CHAOS_HOME"] else {
            throw ValidationError("run scripts/chaos")
        }
        let servers = try Servers(environment: environment)
        let seed = seed ?? UInt64.random(in: 1...999_999)
        let length = seconds.map { Duration.seconds($0) } ?? minutes.map { .milliseconds(Int($0 * 60_000)) }
        let scenarios = names.isEmpty ? Scenario.all : names.compactMap(Scenario.named)
        var verdicts: [(String, String)] = []
        for scenario in scenarios {
            let run = Run(
                scenario: scenario, seed: seed, duration: length, rate: rate, servers: servers, executable: executable,
                folder: URL(fileURLWithPath: home).appending(path: "runs/\(scenario.name)-\(seed)"), say: say)
            do {
                try await servers.heal()
                let report = try await run.play()
                verdicts.append((scenario.name, report.isClean ? "kept" : "BROKEN (\(report.violations.count))"))
            } catch {
                say("could not take place: \(error)")
                verdicts.append((scenario.name, "could not take place"))
            }
        }
        say("\nverdicts, seed \(seed)")
        for (name, verdict) in verdicts {
            say("  \(name.padding(toLength: 14, withPad: " ", startingAt: 0))\(verdict)")
        }
        if verdicts.contains(where: { $0.1.hasPrefix("BROKEN") }) { throw ExitCode(1) }
        if verdicts.contains(where: { $0.1 != "kept" }) { throw ExitCode(2) }
    }
}
