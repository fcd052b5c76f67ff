import ArgumentParser
import Settings

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Say what is wrong with this installation and how to mend it.",
        discussion: """
            Changes nothing. Every check runs even if an earlier one failed. Exit code 0 if all is well (warnings count \
            as well), 1 if something must be mended.
            """)

    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let settings = try Settings.load()
        var findings: [Diagnosis] = []
        for check in Checkup.all {
            let diagnosis = await check(settings)
            findings += diagnosis
            if !json { diagnosis.forEach(Self.show) }
        }
        if json { try Output.json(findings) }
        let broken = findings.filter { $0.verdict == .broken }.count
        if broken > 0 {
            if !json { print("\n\(broken) of \(findings.count) checks found something to mend.") }
            throw ExitCode(Failure.Code.findings.rawValue)
        }
        if !json { print("\nAll \(findings.count) checks passed or only warn.") }
    }

    private static func show(_ diagnosis: Diagnosis) {
        let mark =
            switch diagnosis.verdict {
            case .well: Terminal.green("ok     ")
            case .warning: "warning"
            case .broken: Terminal.red("BROKEN ")
            }
        print("\(mark)  \(diagnosis.name): \(diagnosis.finding)")
        if let remedy = diagnosis.remedy { print("         To mend it: \(remedy)") }
    }
}

/// What one check found.
struct Diagnosis: Encodable, Sendable {
    enum Verdict: String, Encodable, Sendable {
        case well, warning, broken
    }

    let name: String
    let verdict: Verdict
    let finding: String
    let remedy: String?

    init(_ name: String, _ verdict: Verdict, _ finding: String, remedy: String? = nil) {
        self.name = name
        self.verdict = verdict
        self.finding = finding
        self.remedy = remedy
    }
}
