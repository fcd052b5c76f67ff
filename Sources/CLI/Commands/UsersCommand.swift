import ArgumentParser
import Domain
import Foundation
import Ingress
import Persistence
import Postgres
import Settings

struct UsersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "users", abstract: "The people who log in: make, list, change and disable them.",
        discussion: """
            There are no default credentials. `bootstrap` prints a token with which the first administrator makes an account \
            over the API; `create` makes one here. Passwords are asked for at the terminal, or read from standard input, \
            and must have \(PasswordRules.length.lowerBound) to \(PasswordRules.length.upperBound) characters. What is done \
            is recorded; `neff users log` shows it.
            """,
        subcommands: [
            BootstrapToken.self, Create.self, List.self, Disable.self, Enable.self, SetRole.self, ResetPassword.self,
            Log.self,
        ])

    struct BootstrapToken: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "bootstrap", abstract: "Print a token that makes the first administrator, once.",
            discussion: """
                It is printed alone, cannot be shown again, is good for an hour, and makes earlier ones worthless. Use it with \
                POST /v1/bootstrap: {"token": "...", "email": "...", "name": "...", "password": "..."}. Once there is an \
                administrator, there are no more tokens.
                """)

        @OptionGroup var by: OperatorOptions

        func run() async throws {
            let token = try await Database.with("users") { pool in
                try await Bootstrap.makeToken(by: AccessActor(name: by.actor), on: pool)
            }
            guard let token else {
                throw Failure(.data, "There is an administrator already. `neff users list` shows who can make others.")
            }
            print(token.text)
            Terminal.complain("Good for an hour, once. Send it with POST /v1/bootstrap.")
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make a user. The password is asked for.")

        @Option(help: "The e-mail address to log in with.") var email: String
        @Option(help: "The name; appears in the change log.") var name: String
        @Option(help: "What the user may do: \(UserReference.roles).") var role: AccessRole
        @OptionGroup var by: OperatorOptions

        func validate() throws {
            if let fault = TextRules.email(email) { throw ValidationError("--email \(fault.detail)") }
            if name.isEmpty || name.count > 200 { throw ValidationError("--name must have 1 to 200 characters") }
            try UserReference.check(role)
        }

        func run() async throws {
            let password = try UserReference.hash(PasswordPrompt.newPassword(), about: [email, name])
            let user = try await Database.with("users") { pool in
                try await UserRepository(pool: pool).create(
                    NewUser(email: email, name: name, role: role, password: password),
                    by: AccessActor(name: by.actor))
            }
            guard let user else { throw Failure(.data, "Another user has the address \(email).") }
            print("created \(user.id) (\(user.email), \(user.role.rawValue))")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List users.")

        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let users = try await Database.with("users") { pool in try await UserRepository(pool: pool).list() }
            if json {
                try Output.json(users.map(UserView.init))
                return
            }
            if users.isEmpty {
                print("There are no users. `neff users bootstrap` begins.")
                return
            }
            var table = Table("ID", "E-MAIL", "NAME", "ROLE", "STATE", "LAST LOG-IN")
            for user in users {
                table.add(
                    user.id.rawValue, user.email, user.name, user.role.rawValue,
                    user.disabledAt.map { "disabled \(Output.time($0))" } ?? "active",
                    user.lastLoginAt.map(Output.time) ?? "never")
            }
            table.print()
        }
    }

    struct Disable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Keep a user from logging in, and end the user's sessions at once.",
            discussion: "API keys belong to nobody and are not touched; see `neff keys`.")

        @Argument(help: "The user's e-mail address or id.") var user: UserReference
        @OptionGroup var by: OperatorOptions

        func run() async throws {
            let user = try await self.user.change(UserChange(isDisabled: true), by: by)
            print("disabled \(user.id) (\(user.email))")
        }
    }

    struct Enable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Let a disabled user log in again.")

        @Argument(help: "The user's e-mail address or id.") var user: UserReference
        @OptionGroup var by: OperatorOptions

        func run() async throws {
            let user = try await self.user.change(UserChange(isDisabled: false), by: by)
            print("enabled \(user.id) (\(user.email))")
        }
    }

    struct SetRole: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change what a user may do. Sessions that are open have the new role at once.")

        @Argument(help: "The user's e-mail address or id.") var user: UserReference
        @Option(help: "One of: \(UserReference.roles).") var role: AccessRole
        @OptionGroup var by: OperatorOptions

        func validate() throws { try UserReference.check(role) }

        func run() async throws {
            let user = try await self.user.change(UserChange(role: role), by: by)
            print("\(user.id) (\(user.email)) is \(user.role.rawValue)")
        }
    }

    struct ResetPassword: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a user another password, which is asked for, and end the user's sessions.")

        @Argument(help: "The user's e-mail address or id.") var user: UserReference
        @OptionGroup var by: OperatorOptions

        func run() async throws {
            try await Database.with("users") { pool in
                let user = try await self.user.find(on: pool)
                let password = try UserReference.hash(PasswordPrompt.newPassword(), about: [user.email, user.name])
                _ = try await UserRepository(pool: pool).setPassword(
                    of: user.id, to: password, by: AccessActor(name: by.actor))
                print("changed the password of \(user.id) (\(user.email))")
            }
        }
    }

    struct Log: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List log-ins, failures, log-outs, changes of users and keys, and refusals, the youngest first.")

        @Option(help: "Only what was done to this user, session or key, by id.") var subject: String?
        @Option(help: "Only what this user or key did, by id.") var actor: String?
        @Option(help: "At most this many, 1 to 500.") var limit = 50
        @Option(help: "Go on before this entry.") var before: Int?

        func validate() throws {
            if !(1...500).contains(limit) { throw ValidationError("--limit must be 1 to 500") }
        }

        func run() async throws {
            let entries = try await Database.with("users") { pool in
                try await AccessLog.list(
                    AccessLog.Filter(actorID: actor, subject: subject), before: before, limit: limit, on: pool)
            }
            if entries.isEmpty {
                print("The record of access has no such entries.")
                return
            }
            var table = Table("ENTRY", "WHEN", "WHO", "FROM", "ACT", "SUBJECT", "DETAILS")
            for entry in entries {
                let details = entry.event.details.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
                table.add(
                    String(entry.id), Output.time(entry.at), entry.event.actor.name ?? "?",
                    entry.event.actor.address ?? "terminal", entry.event.act.rawValue, entry.event.subject ?? "",
                    details.joined(separator: " "))
            }
            table.print()
            if entries.count == limit, let last = entries.last { print("More: neff users log --before \(last.id)") }
        }
    }
}

/// A user as operators name one: by e-mail address or id.
struct UserReference: ExpressibleByArgument {
    static let roles = AccessRole.allCases.filter { $0 != .service }.map(\.rawValue).joined(separator: ", ")

    private let text: String

    init?(argument: String) {
        text = argument
    }

    static func check(_ role: AccessRole) throws {
        if role == .service { throw ValidationError("--role service is for API keys; users take one of \(roles)") }
    }

    /// - Throws: `Failure` (`data`) if the rules forbid the password.
    static func hash(_ password: String, about personal: [String]) throws -> PasswordHash {
        if let fault = PasswordRules.fault(password, about: personal) {
            throw Failure(.data, "The password \(fault.detail).")
        }
        return try PasswordHash(of: password)
    }

    /// - Throws: `Failure` (`data`) if there is no such user.
    func find(on pool: PostgresPool) async throws -> User {
        let table = UserRepository(pool: pool)
        let user =
            if let id = UserID(rawValue: text) { try await table.find(id) } else {
                try await table.find(email: text)
            }
        guard let user else { throw Failure(.data, "There is no user \(text). `neff users list` shows all.") }
        return user
    }

    /// - Throws: `Failure` (`data`) if there is no such user, or the last administrator would go.
    func change(_ change: UserChange, by options: OperatorOptions) async throws -> User {
        try await Database.with("users") { pool in
            let user = try await find(on: pool)
            switch try await UserRepository(pool: pool).change(user.id, change, by: AccessActor(name: options.actor)) {
            case .changed(let user), .changedMeanwhile(let user): return user
            case .missing: throw Failure(.data, "There is no user \(text) any more.")
            case .lastAdministrator:
                throw Failure(
                    .data, "\(user.email) is the last administrator who may log in. Make another one first.")
            }
        }
    }
}

/// A user as JSON.
private struct UserView: Encodable {
    let id: UserID
    let email: String
    let name: String
    let role: AccessRole
    let disabledAt: Date?
    let lastLoginAt: Date?
    let passwordChangedAt: Date
    let createdAt: Date

    init(_ user: User) {
        id = user.id
        email = user.email
        name = user.name
        role = user.role
        disabledAt = user.disabledAt
        lastLoginAt = user.lastLoginAt
        passwordChangedAt = user.passwordChangedAt
        createdAt = user.createdAt
    }
}
