import Foundation
import HTTPTypes
import Persistence

/// The cookie that a browser shows its session with.
struct SessionCookie: Sendable {
    /// Whether browsers send it over TLS only. False for development on loopback alone, where there is no TLS.
    let isSecure: Bool

    /// With the prefix `__Host-`, browsers take the cookie over TLS only, from this very host and for all of its paths, so
    /// that no neighbouring host can plant one (RFC 6265bis section 4.1.3.2).
    var name: String { isSecure ? "__Host-neff_session" : "neff_session" }

    /// The token in a request; nil if there is none that could be one of ours.
    func token(in headers: HTTPFields) -> SecretToken? {
        for header in headers[values: .cookie] {
            for pair in header.split(separator: ";") {
                let parts = pair.split(separator: "=", maxSplits: 1)
                guard parts.count == 2, parts[0].trimming(\.isWhitespace) == name else { continue }
                return SecretToken(text: String(parts[1].trimming(\.isWhitespace)))
            }
        }
        return nil
    }

    /// The value of `Set-Cookie` that gives a browser its session.
    ///
    /// - Parameter lifetime: seconds until the session ends whatever happens.
    func giving(_ token: SecretToken, lifetime: TimeInterval) -> String {
        "\(name)=\(token.text); Path=/; Max-Age=\(Int(lifetime)); HttpOnly; SameSite=Lax" + (isSecure ? "; Secure" : "")
    }

    /// The value of `Set-Cookie` that takes it away.
    var taking: String {
        "\(name)=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax" + (isSecure ? "; Secure" : "")
    }
}
