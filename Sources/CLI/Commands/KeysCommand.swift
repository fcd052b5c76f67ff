import ArgumentParser
import Domain
import Foundation
import Persistence
import Postgres
import Settings

struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Make, list and revoke the API keys of staff and machines.",
        subcommands: [Create.self, List.self, Revoke.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key. It is printed once, alone, and cannot be shown again; only its digest is stored.")

        @Option(help: "Whose key it is; appears in the change log.") var name: String
        @Option(help: "What it may do: \(AccessRole.allCases.map(\.rawValue).joined(separator: ", ")).") var role:
            AccessRole
        @Option(help: "Days until it expires; without it, the key lasts until it is revoked.") var days: Int?
        @OptionGroup var by: OperatorOptions

        func validate() throws {
            if let days, !(1...3_650).contains(days) { throw ValidationError("--days must be from 1 to 3650") }
            if name.isEmpty || name.count > 100 { throw ValidationError("--name must have 1 to 100 characters") }
        }

        func run() async throws {
            let expiry = days.map { Date().addingTimeInterval(Double($0) * 86_400) }
            let (_, secret) = try await Database.with("keys") { pool in
                try await ApiKeyRepository(pool: pool).create(
                    name: name, role: role, expiresAt: expiry, by: AccessActor(name: by.actor))
            }
            print(secret.text)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List keys: never the secrets.")

        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let keys = try await Database.with("keys") { pool in try await ApiKeyRepository(pool: pool).list() }
            if json {
                try Output.json(keys.map(KeyView.init))
                return
            }
            var table = Table("ID", "BEGINS", "NAME", "ROLE", "STATE", "CREATED", "LAST USED")
            for key in keys {
                let state =
                    if key.revokedAt != nil { "revoked" } else if let expiry = key.expiresAt {
                        expiry < Date() ? "expired" : "until \(Output.time(expiry))"
                    } else { "active" }
                table.add(
                    key.id.rawValue, key.prefix, key.name, key.role.rawValue, state, Output.time(key.createdAt),
                    key.lastUsedAt.map(Output.time) ?? "never")
            }
            table.print()
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke a key. Running ingresses honour it within 30 seconds.")

        @Argument(help: "The key's id, as `neff keys list` shows it.") var id: String
        @OptionGroup var by: OperatorOptions

        func run() async throws {
            guard let id = ApiKeyID(rawValue: id) else { throw Failure(.usage, "\(id) is not the id of a key") }
            let key = try await Database.with("keys") { pool in
                try await ApiKeyRepository(pool: pool).revoke(id, by: AccessActor(name: by.actor))
            }
            guard let key else { throw Failure(.data, "There is no key \(id).") }
            print("revoked \(id) (\(key.name))")
        }
    }
}

extension AccessRole: ExpressibleByArgument {}

/// A key as JSON; the secret is not known to anybody.
private struct KeyView: Encodable {
    let id: ApiKeyID
    let begins: String
    let name: String
    let role: AccessRole
    let createdAt: Date
    let expiresAt: Date?
    let revokedAt: Date?
    let lastUsedAt: Date?

    init(_ key: ApiKey) {
        id = key.id
        begins = key.prefix
        name = key.name
        role = key.role
        createdAt = key.createdAt
        expiresAt = key.expiresAt
        revokedAt = key.revokedAt
        lastUsedAt = key.lastUsedAt
    }
}
