import AMQP
import ArgumentParser
import Foundation
import Logging
import Settings
import Topology
import Transport

struct TopologyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topology", abstract: "Exchanges, queues, policies and users of the broker.",
        discussion: """
            The topology is compiled into this program from topology/topology.yaml. plan, apply and verify use the \
            management API (RABBITMQ_MANAGEMENT_URL) on the virtual host of AMQP_URL.

            Passwords of the roles' users come from NEFF_BROKER_PASSWORD_<ROLE> or --password-file; users of roles \
            without one are left alone.
            """,
        subcommands: [ShowPlan.self, Apply.self, Verify.self, Export.self])

    struct Passwords: ParsableArguments {
        @Option(help: "A file of role=password lines.") var passwordFile: String?

        func read(_ document: TopologyDocument) throws -> RolePasswords {
            var passwords = RolePasswords(
                environment: ProcessInfo.processInfo.environment, roles: document.roles.keys)
            if let passwordFile {
                guard let text = try? String(contentsOfFile: passwordFile, encoding: .utf8) else {
                    throw Failure(.data, "--password-file: \(passwordFile) cannot be read")
                }
                try passwords.add(file: text, roles: document.roles.keys)
            }
            return passwords
        }
    }

    struct ShowPlan: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "plan", abstract: "Show what apply would change. Changes nothing.",
            discussion: """
                Exit code 1 if something stands in the way that cannot be changed in place; apply would then change \
                nothing. Exit code 0 otherwise, whether or not there is anything to change.
                """)

        @OptionGroup var passwords: Passwords

        func run() async throws {
            try await Management.with { management in
                let document = try TopologyDocument.shipped()
                let plan = try await TopologyDeployment(document, on: management, passwords: passwords.read(document))
                    .plan()
                print(plan)
                if plan.findings.hasErrors { throw ExitCode(Failure.Code.findings.rawValue) }
            }
        }
    }

    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Bring the broker to the topology. A second time changes nothing.")

        @OptionGroup var passwords: Passwords

        func run() async throws {
            try await Management.with { management in
                let document = try TopologyDocument.shipped()
                let plan = try await TopologyDeployment(document, on: management, passwords: passwords.read(document))
                    .apply()
                print(
                    plan.changes.isEmpty
                        ? "nothing to do: the broker has this topology" : "made \(plan.changes.count) changes")
                for finding in plan.findings { print(finding) }
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fail if the broker's topology differs, or if the broker is not well.",
            discussion: "Exit code 1 if it finds something. Each finding says what to do.")

        @OptionGroup var passwords: Passwords
        @Flag(help: "Also send a tagged message main, retry tier, main, dead, and time each hop.") var canary = false

        func run() async throws {
            let document = try TopologyDocument.shipped()
            let verification = try await Management.with { management in
                try await TopologyDeployment(document, on: management, passwords: passwords.read(document)).verify()
            }
            print(verification)
            var isClean = verification.isClean
            if canary {
                let settings = try Settings.load()
                let connection = try await Connection.open(
                    Broker.configuration(settings, purpose: "canary"), logger: settings.logger("neff.canary"))
                let result = try await Canary(document, over: connection).run(tag: UUID().uuidString)
                await connection.close()
                print(result)
                isClean = isClean && result.isClean
            }
            if !isClean { throw ExitCode(Failure.Code.findings.rawValue) }
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the topology as the broker's definitions file, for rabbitmqctl import_definitions.",
            discussion: """
                The file holds password hashes: treat it as a secret. Importing changes no queue that exists; apply does \
                what can be done.
                """)

        @OptionGroup var passwords: Passwords
        @Option(help: "The broker's version.") var brokerVersion = "3.10.8"
        @Option(help: "The virtual host.") var virtualHost = TopologyDocument.defaultVirtualHost

        func run() throws {
            let document = try TopologyDocument.shipped()
            guard let version = BrokerVersion(brokerVersion) else {
                throw Failure(.usage, "--broker-version takes a version such as 3.10.8")
            }
            let definitions = try Definitions(
                document, version: version, virtualHost: virtualHost, passwords: passwords.read(document))
            print(definitions.json)
            if !definitions.omittedRoles.isEmpty {
                Terminal.complain(
                    "neff: no password was given for \(definitions.omittedRoles.joined(separator: ", ")); "
                        + "their users are left out")
            }
        }
    }
}
