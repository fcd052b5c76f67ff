import Crypto
import CryptoExtras
import Foundation

/// A password as it is stored: what it takes to check one, and nothing that leads back to it.
///
/// The text says how it was made, `$scrypt$ln=17,r=8,p=1$<salt>$<key>` with both in base 64 without padding, so that a hash
/// outlives a change of the parameters. Making and checking one takes a good part of a second and `memoryBytes`, on purpose:
/// never do it on an event loop or on a thread of the database, and never many at once.
package struct PasswordHash: Hashable, Sendable, CustomStringConvertible {
    /// How much work a hash is.
    package struct Parameters: Hashable, Sendable {
        /// The binary logarithm of scrypt's N.
        package var costExponent: Int
        /// scrypt's r.
        package var blockSize: Int
        /// scrypt's p.
        package var parallelism: Int

        /// - Parameter costExponent: 1 to 20. Small ones are for tests.
        package init(costExponent: Int = 17, blockSize: Int = 8, parallelism: Int = 1) {
            self.costExponent = costExponent
            self.blockSize = blockSize
            self.parallelism = parallelism
        }

        /// N = 2^17, r = 8, p = 1: 128 MiB for each hash. The first choice for scrypt in OWASP's Password Storage Cheat
        /// Sheet (as of 2026).
        package static let standard = Parameters()

        /// What one computation holds in memory (RFC 7914 section 2).
        package var memoryBytes: Int { 128 * blockSize << costExponent }

        var isUsable: Bool {
            (1...20).contains(costExponent) && (1...32).contains(blockSize) && (1...16).contains(parallelism)
        }
    }

    /// For the database. Not for logs, although nobody gets from it to a good password.
    package let text: String
    private let parameters: Parameters
    private let salt: [UInt8]
    private let key: [UInt8]

    private static let saltBytes = 16
    private static let keyBytes = 32

    /// Hashes a password under a new random salt.
    ///
    /// - Parameter password: not empty; taken in Unicode's form NFKC, as SP 800-63B-4 section 3.1.1.2 asks, so that two
    ///   keyboards that write one character differently give one password.
    /// - Throws: if there is no memory for it.
    package init(of password: String, parameters: Parameters = .standard) throws {
        var generator = SystemRandomNumberGenerator()
        let salt = (0..<Self.saltBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        let key = try Self.derive(password, salt: salt, parameters, keyBytes: Self.keyBytes)
        self.init(parameters: parameters, salt: salt, key: key)
    }

    /// Reads what was stored.
    ///
    /// - Returns: nil if the text is of no form that this program makes.
    package init?(text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 5, parts[0].isEmpty, parts[1] == "scrypt", let parameters = Self.parameters(parts[2]),
            let salt = Self.bytes(parts[3]), salt.count >= 8, let key = Self.bytes(parts[4]), key.count >= 16
        else { return nil }
        self.init(parameters: parameters, salt: salt, key: key)
        guard self.text == text else { return nil }
    }

    /// A hash of no password, for an account that does not exist: checking it takes as long as checking a real one.
    package static func ofNothing(parameters: Parameters) -> PasswordHash {
        var generator = SystemRandomNumberGenerator()
        func random(_ count: Int) -> [UInt8] {
            (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        }
        return PasswordHash(parameters: parameters, salt: random(saltBytes), key: random(keyBytes))
    }

    private init(parameters: Parameters, salt: [UInt8], key: [UInt8]) {
        self.parameters = parameters
        self.salt = salt
        self.key = key
        let cost = "ln=\(parameters.costExponent),r=\(parameters.blockSize),p=\(parameters.parallelism)"
        text = "$scrypt$\(cost)$\(Self.base64(salt))$\(Self.base64(key))"
    }

    /// Whether this is the hash of the password. Keys are compared in constant time.
    ///
    /// - Throws: if there is no memory for it.
    package func matches(_ password: String) throws -> Bool {
        guard !password.isEmpty else { return false }
        let other = try Self.derive(password, salt: salt, parameters, keyBytes: key.count)
        var difference: UInt8 = 0
        for (left, right) in zip(key, other) { difference |= left ^ right }
        return difference == 0
    }

    /// Whether it was made with less work than is asked for today, so that the next log-in should replace it.
    package func isWeaker(than wanted: Parameters) -> Bool {
        parameters.memoryBytes * parameters.parallelism < wanted.memoryBytes * wanted.parallelism
    }

    /// Never the hash.
    package var description: String { "a password hash" }

    private static func derive(
        _ password: String, salt: [UInt8], _ parameters: Parameters, keyBytes: Int
    ) throws -> [UInt8] {
        precondition(parameters.isUsable && !password.isEmpty, "a password hash takes a password and usable parameters")
        let key = try KDF.Scrypt.deriveKey(
            from: Array(password.precomposedStringWithCompatibilityMapping.utf8), salt: salt,
            outputByteCount: keyBytes, rounds: 1 << parameters.costExponent, blockSize: parameters.blockSize,
            parallelism: parameters.parallelism)
        return key.withUnsafeBytes { Array($0) }
    }

    private static func parameters(_ text: Substring) -> Parameters? {
        var values: [Substring: Int] = [:]
        for field in text.split(separator: ",") {
            let parts = field.split(separator: "=")
            guard parts.count == 2, let value = Int(parts[1]) else { return nil }
            values[parts[0]] = value
        }
        guard values.count == 3, let cost = values["ln"], let block = values["r"], let lanes = values["p"] else {
            return nil
        }
        let parameters = Parameters(costExponent: cost, blockSize: block, parallelism: lanes)
        return parameters.isUsable ? parameters : nil
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().replacing("=", with: "")
    }

    private static func bytes(_ text: Substring) -> [UInt8]? {
        let padding = String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        return Data(base64Encoded: String(text) + padding).map { Array($0) }
    }
}
