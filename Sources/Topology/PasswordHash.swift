internal import Crypto
internal import FoundationEssentials

/// A password as RabbitMQ keeps it: Base64 of a 4-byte salt followed by SHA-256 of salt and password
/// (rabbitmq.com, "Credentials and Passwords", `rabbit_password_hashing_sha256`).
package struct PasswordHash: Sendable, Hashable, CustomStringConvertible {
    /// The text that belongs into definitions and the management API. A hash is a secret too: never log it.
    package let base64: String

    /// A user with this hash cannot log in.
    package static let none = PasswordHash(base64: "")

    /// Takes a hash as the broker gives it.
    package init(base64: String) {
        self.base64 = base64
    }

    /// Hashes a password.
    package init(_ password: String, salt: [UInt8] = (0..<4).map { _ in .random(in: 0...255) }) {
        precondition(salt.count == 4, "RabbitMQ's salt is 4 bytes long")
        base64 = Data(salt + Self.digest(salt: salt, password: password)).base64EncodedString()
    }

    /// Whether this is the hash of the password.
    package func matches(_ password: String) -> Bool {
        guard let bytes = Data(base64Encoded: base64), bytes.count == 36 else { return false }
        return Array(bytes.dropFirst(4)) == Self.digest(salt: Array(bytes.prefix(4)), password: password)
    }

    private static func digest(salt: [UInt8], password: String) -> [UInt8] {
        Array(SHA256.hash(data: salt + Array(password.utf8)))
    }

    package var description: String { "<password hash>" }
}
