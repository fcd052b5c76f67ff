import Domain
import Foundation
import Persistence

/// The bodies of the routes for users, sessions and keys, read and checked.
enum AccountInput {
    struct LogIn {
        var email: String
        var password: String
    }

    /// What is given at a log-in is taken as it is: whether it could ever be right is nobody's business.
    static func logIn(_ body: [UInt8]) throws -> LogIn {
        try JobInput.read(body) { reader in
            let email = reader.string("email", .required, length: 254)
            let password = reader.string("password", .required, length: 1_000)
            guard let email, let password else { return nil }
            return LogIn(email: email, password: password)
        }
    }

    struct Person {
        var email: String
        var name: String
        var role: AccessRole
        var password: String
    }

    static func newUser(_ body: [UInt8]) throws -> Person {
        try JobInput.read(body) { reader in
            let (email, name) = person(&reader)
            let role = role(&reader, .required)
            let password = newPassword(&reader, "password", about: [email, name])
            guard let email, let name, let role, let password else { return nil }
            return Person(email: email, name: name, role: role, password: password)
        }
    }

    static func bootstrap(_ body: [UInt8]) throws -> (token: SecretToken?, person: Person) {
        try JobInput.read(body) { reader in
            let token = reader.string("token", .required, length: 200)
            let (email, name) = person(&reader)
            let password = newPassword(&reader, "password", about: [email, name])
            guard let token, let email, let name, let password else { return nil }
            return (SecretToken(text: token), Person(email: email, name: name, role: .admin, password: password))
        }
    }

    static func change(_ body: [UInt8]) throws -> UserChange {
        try JobInput.read(body) { reader in
            let change = UserChange(
                name: reader.string("name", length: 200), role: role(&reader, .optional),
                isDisabled: reader.flag("disabled"))
            if !["name", "role", "disabled"].contains(where: reader.has) {
                reader.reject(
                    "name", "required", "is required, or another field that changes something: role, disabled")
            }
            return change
        }
    }

    /// - Parameter user: whose password it is to be.
    static func resetPassword(_ body: [UInt8], of user: User) throws -> String {
        try JobInput.read(body) { reader in newPassword(&reader, "password", about: [user.email, user.name]) }
    }

    static func changePassword(_ body: [UInt8], of user: User) throws -> (current: String, new: String) {
        try JobInput.read(body) { reader in
            let current = reader.string("current_password", .required, length: 1_000)
            let new = newPassword(&reader, "new_password", about: [user.email, user.name])
            guard let current, let new else { return nil }
            return (current, new)
        }
    }

    struct Key {
        var name: String
        var role: AccessRole
        var expiresAt: Date?
    }

    static func newKey(_ body: [UInt8], at now: Date) throws -> Key {
        try JobInput.read(body) { reader in
            let name = reader.string("name", .required, length: 100)
            let role = reader.choice("role", .required, as: AccessRole.self)
            let expiry = reader.instant("expires_at")
            if let expiry, expiry <= now { reader.reject("expires_at", "past", "must lie in the future") }
            guard let name, let role else { return nil }
            return Key(name: name, role: role, expiresAt: expiry)
        }
    }

    private static func person(_ reader: inout ObjectReader) -> (email: String?, name: String?) {
        (
            reader.string("email", .required, length: 254, check: TextRules.email),
            reader.string("name", .required, length: 200)
        )
    }

    /// Any role but the one of machines.
    private static func role(_ reader: inout ObjectReader, _ presence: ObjectReader.Presence) -> AccessRole? {
        let roles = AccessRole.allCases.filter { $0 != .service }
        let text = reader.string("role", presence, length: 100) { text in
            roles.contains { $0.rawValue == text }
                ? nil : ("choice", "must be one of " + roles.map(\.rawValue).joined(separator: ", "))
        }
        return text.flatMap(AccessRole.init(rawValue:))
    }

    private static func newPassword(
        _ reader: inout ObjectReader, _ name: String, about personal: [String?]
    ) -> String? {
        reader.string(name, .required, length: 1_000) { PasswordRules.fault($0, about: personal.compactMap(\.self)) }
    }
}
