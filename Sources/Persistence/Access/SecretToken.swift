import Crypto
import Foundation

/// A random text that shows who its holder is: a session's cookie, or the right to make the first administrator. Given out
/// once and stored nowhere.
package struct SecretToken: Sendable, CustomStringConvertible {
    /// For the one who is given the token, and for nobody else. 43 characters of `A-Z a-z 0-9 - _`.
    package let text: String

    /// A new token of 256 random bits.
    package static func make() -> SecretToken {
        var generator = SystemRandomNumberGenerator()
        return SecretToken(bytes: (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }

    /// Takes a text that came from outside; nil if it cannot be a token.
    package init?(text: String) {
        guard text.utf8.count == 43,
            text.utf8.allSatisfy({
                (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == UInt8(ascii: "-")
                    || $0 == UInt8(ascii: "_")
            })
        else { return nil }
        self.text = text
    }

    private init(bytes: [UInt8]) {
        text = Base64URL.text(bytes)
    }

    /// What is stored. The token is random, so there is nothing that a slow digest would protect.
    package var digest: [UInt8] { Array(SHA256.hash(data: Array(text.utf8))) }

    /// Another secret that follows from this one and does not lead back to it.
    ///
    /// - Parameter purpose: what it is for, so that the secrets for two purposes differ.
    package func derived(for purpose: String) -> String {
        let code = HMAC<SHA256>.authenticationCode(
            for: Array(purpose.utf8), using: SymmetricKey(data: Array(text.utf8)))
        return Base64URL.text(Array(code))
    }

    /// Never the token, which would end in a log.
    package var description: String { "a token" }
}

/// Base 64 in the alphabet of URLs, without padding (RFC 4648 section 5).
enum Base64URL {
    static func text(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}
