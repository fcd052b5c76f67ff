import ArgumentParser
import Foundation

/// The program: one executable, a subcommand for each role and task.
@main
struct Neff: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "neff",
        abstract: "Scheduling for Neff Paving: takes bookings, sends crews, tells people.",
        discussion: """
            Start with `neff doctor`, which says what is wrong with an installation and how to mend it.

            Settings come from the environment, or from the file that NEFF_CONFIG_FILE names; `neff settings` lists them.

            Exit codes: 0 done; \(Failure.Code.allCases.map { "\($0.rawValue) \($0.meaning)" }.joined(separator: "; ")).
            """,
        version: Version.text,
        subcommands: [
            IngressCommand.self, WorkerCommand.self, MigrateCommand.self, RolesCommand.self, TopologyCommand.self,
            StatusCommand.self, DoctorCommand.self, TraceCommand.self, QueuesCommand.self, LedgerCommand.self,
            DeadLettersCommand.self, CampaignsCommand.self, AlertsCommand.self, OperatorLogCommand.self,
            KeysCommand.self, UsersCommand.self, ResourcesCommand.self, SettingsCommand.self,
            SandboxCommand.self,
        ])

    static func main() async {
        // A peer that went away is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            // Help, version, and what is wrong with the command line are the parser's to show.
            if error is ArgumentParser.ExitCode || exitCode(for: error) != .failure { exit(withError: error) }
            let failure = Failure(error)
            Terminal.complain("neff: \(failure.message)")
            Foundation.exit(failure.code.rawValue)
        }
    }
}

/// Which build this is.
enum Version {
    static let text = "0.1.0"
}
