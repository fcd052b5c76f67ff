import ArgumentParser
import Foundation
import Persistence
import Postgres
import Settings
import Topology

struct RolesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roles", abstract: "The services' log-ins to PostgreSQL, one for each.",
        discussion: """
            The migrations make a role for each service, neff_<role>, and give it the rights that the service needs. It \
            has no password. `neff roles apply` makes the log-ins, neff_login_<role>, each a member of its one role; \
            they go into the DATABASE_URL of the services. Roles: \(Self.names).

            The broker's users are made by `neff topology apply`.
            """,
        subcommands: [Apply.self, Verify.self])

    /// What the names of the passwords' variables begin with.
    static let passwordPrefix = "NEFF_DATABASE_PASSWORD_"

    private static var names: String { ServiceRole.allCases.map(\.rawValue).joined(separator: ", ") }

    struct Prefix: ParsableArguments {
        @Option(help: "What the names of the log-ins begin with. Two installations on one server need two.")
        var prefix = ServiceLogins.standardPrefix

        func validate() throws {
            // 63 bytes is PostgreSQL's limit for names; it would cut a longer one without a word.
            guard (1...48).contains(prefix.utf8.count),
                prefix.utf8.allSatisfy({ (97...122).contains($0) || (48...57).contains($0) || $0 == 95 })
            else { throw ValidationError("--prefix takes 1 to 48 small letters, digits and underscores") }
        }
    }

    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make the log-ins, or bring them to the passwords given. A second time changes nothing.",
            discussion: """
                Run it after `neff migrate up`, with a DATABASE_URL whose role may create roles. Passwords come from \
                \(RolesCommand.passwordPrefix)<ROLE> or --password-file, never from the command line; log-ins without \
                one are left alone. They are sent as SCRAM verifiers, so the server's log never holds one.

                To change a password: give the new one, run apply, restart the service with its new DATABASE_URL. \
                Sessions that are open go on.

                    export \(RolesCommand.passwordPrefix)SYNC=$(openssl rand -hex 24)
                    neff roles apply
                    DATABASE_URL=postgres://neff_login_sync:...@host/neff neff worker sync
                """)

        @OptionGroup var prefix: Prefix
        @Option(help: "A file of role=password lines.") var passwordFile: String?

        func run() async throws {
            let settings = try Settings.load()
            let passwords = try readPasswords()
            if try settings.value(Keys.mode) == .production,
                let (role, _) = passwords.byRole.first(where: { SampleCredentials.isSample($0.value) })
            {
                throw Failure(
                    .configuration, "The password of \(role) is a sample credential, which production refuses.")
            }
            let configuration = try PostgresConfiguration(
                url: settings.value(Keys.databaseURL), applicationName: "neff-roles")
            let logins = ServiceLogins(prefix: prefix.prefix, logger: try settings.logger("neff.roles"))
            var table = Table("LOG-IN", "MEMBER OF", "RESULT")
            var left: [String] = []
            for role in ServiceRole.allCases {
                guard let password = passwords.byRole[role.rawValue] else {
                    left.append(role.rawValue)
                    continue
                }
                let outcome = try await logins.apply(role, password: password, to: configuration)
                table.add(logins.login(of: role), role.group, outcome.rawValue)
            }
            table.print()
            if !left.isEmpty {
                Terminal.complain(
                    "neff: no password was given for \(left.joined(separator: ", ")); their log-ins are left alone")
            }
        }

        private func readPasswords() throws -> RolePasswords {
            let roles = ServiceRole.allCases.map(\.rawValue)
            let environment = ProcessInfo.processInfo.environment
            let known = Set(roles.map { RolePasswords.variable(ofRole: $0, prefix: RolesCommand.passwordPrefix) })
            for name in environment.keys.sorted()
            where name.hasPrefix(RolesCommand.passwordPrefix) && !known.contains(name) {
                throw Failure(
                    .configuration,
                    "\(name) names no role. There are: \(known.sorted().joined(separator: ", ")).")
            }
            var passwords = RolePasswords(
                environment: environment, roles: roles, prefix: RolesCommand.passwordPrefix)
            if let passwordFile {
                guard let text = try? String(contentsOfFile: passwordFile, encoding: .utf8) else {
                    throw Failure(.data, "--password-file: \(passwordFile) cannot be read")
                }
                try passwords.add(file: text, roles: roles)
            }
            guard !passwords.byRole.isEmpty else {
                throw Failure(
                    .configuration,
                    "No password was given. Set \(known.sorted().joined(separator: ", ")), or some of them.")
            }
            return passwords
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fail if a log-in is missing, or may do more or less than its service needs.",
            discussion: "Exit code 1 if it finds something. Each finding says what to do. Passwords are not looked at.")

        @OptionGroup var prefix: Prefix

        func run() async throws {
            let settings = try Settings.load()
            let configuration = try PostgresConfiguration(
                url: settings.value(Keys.databaseURL), applicationName: "neff-roles")
            let findings = try await ServiceLogins(
                prefix: prefix.prefix, logger: settings.logger("neff.roles")
            ).verify(on: configuration)
            for finding in findings { print(finding) }
            guard findings.isEmpty else { throw ExitCode(Failure.Code.findings.rawValue) }
            print("ok: \(ServiceRole.allCases.count) log-ins, each with the rights of its service and no others")
        }
    }
}
