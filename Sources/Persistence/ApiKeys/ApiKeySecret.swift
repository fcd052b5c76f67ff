import Crypto

/// The text that a caller sends to show who it is. It is given out once and stored nowhere.
package struct ApiKeySecret: Sendable, CustomStringConvertible {
    /// `neff_` and 40 random characters. For the one who asked for the key, and for nobody else.
    package let text: String

    /// How every secret begins, so that scanners for leaked keys can find one.
    package static let scheme = "neff_"

    /// A new secret with 238 random bits.
    package static func make(using generator: inout some RandomNumberGenerator) -> ApiKeySecret {
        let letters = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
        let random = (0..<40).map { _ in letters[Int.random(in: 0..<letters.count, using: &generator)] }
        return ApiKeySecret(text: scheme + String(random))
    }

    /// What is stored. Secrets are random, so there is nothing that a slow digest would protect.
    package var digest: [UInt8] { Array(SHA256.hash(data: Array(text.utf8))) }

    /// The part that lists show: too little to guess the rest from.
    package var prefix: String { String(text.prefix(12)) }

    /// Never the secret, which would end in a log.
    package var description: String { prefix + "..." }
}
