/// Where and how mail is handed over.
///
/// The URL reads `smtp://user:password@host:587/ehlo-name?option=value`. `smtp` requires STARTTLS, `smtps` is TLS from
/// the first byte (port 465). User and password are percent-encoded. Options:
///
/// | Option | Meaning | Default |
/// |---|---|---|
/// | `starttls` | `required`, or `none` for clear text; `none` is for a test server on loopback | `required` |
/// | `cafile` | PEM file of authorities to trust instead of the system's | the system's |
/// | `auth` | `PLAIN` or `LOGIN`, when the server offers more than it should | what the server offers |
/// | `connect_timeout_ms` | name lookup and connection | 10000 |
/// | `reply_timeout_ms` | one reply; rounded up to seconds | 60000 |
/// | `timeout_ms` | one message from connection to acceptance | 120000 |
package struct SMTPConfiguration: Sendable, CustomStringConvertible {
    /// Why a configuration was refused; it names the part, never its value.
    package struct Invalid: Error, Sendable, CustomStringConvertible {
        /// The rule that was broken.
        package let reason: String
        package var description: String { "invalid SMTP URL: \(reason)" }
    }

    /// How the connection is protected.
    package enum Security: String, Sendable {
        /// STARTTLS before anything else; a server that does not offer it gets no mail and no password.
        case startTLS
        /// TLS from the first byte.
        case implicitTLS
        /// Clear text.
        case none
    }

    /// The protection.
    package let security: Security
    /// The server's name, checked against its certificate.
    package let host: String
    /// The server's port.
    package let port: Int
    /// The name sent with EHLO; nil sends the local host name.
    package let clientName: String?
    /// The user name, if the server wants authentication.
    package let user: String?
    /// The password; never part of a description.
    package let password: String?
    /// The SASL mechanism to insist on, if any.
    package let mechanism: String?
    /// A PEM file of authorities to trust instead of the system's.
    package let caFile: String?
    /// The limit for name lookup and connection.
    package let connectTimeout: Duration
    /// The limit for one reply. RFC 5321 section 4.5.3.2 suggests up to 10 minutes for the reply to the final dot; a
    /// shorter one trades a few more ambiguous messages for workers that do not hang.
    package let replyTimeout: Duration
    /// The limit for one message.
    package let timeout: Duration

    /// Reads a URL as described above.
    package init(url: String) throws(Invalid) {
        let parts = try SMTPURL(url)
        let options = parts.options
        guard parts.scheme == "smtp" || parts.scheme == "smtps" else {
            throw Invalid(reason: "it must start with smtp:// or smtps://")
        }
        let known: Set<String> = [
            "starttls", "cafile", "auth", "connect_timeout_ms", "reply_timeout_ms", "timeout_ms",
        ]
        if let unknown = options.keys.sorted().first(where: { !known.contains($0) }) {
            throw Invalid(reason: "unknown option \(unknown); known are \(known.sorted().joined(separator: ", "))")
        }
        switch (parts.scheme, options["starttls"] ?? "required") {
        case ("smtps", "required"): security = .implicitTLS
        case ("smtp", "required"): security = .startTLS
        case ("smtp", "none"): security = .none
        case ("smtps", _): throw Invalid(reason: "smtps:// is TLS from the first byte; starttls does not apply")
        default: throw Invalid(reason: "starttls must be required or none")
        }
        host = parts.host
        port = parts.port ?? (security == .implicitTLS ? 465 : 587)
        if let name = parts.path {
            guard name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") }), name.utf8.count <= 255
            else {
                throw Invalid(reason: "the path must be a host name, it is sent with EHLO")
            }
        }
        clientName = parts.path
        guard (parts.user == nil) == (parts.password == nil) else {
            throw Invalid(reason: "give both user and password, or neither")
        }
        user = parts.user
        password = parts.password
        guard security != .none || password == nil || Self.isLoopback(host) else {
            throw Invalid(reason: "starttls=none with a password is allowed on loopback only")
        }
        mechanism = options["auth"]
        guard [nil, "PLAIN", "LOGIN"].contains(mechanism) else { throw Invalid(reason: "auth must be PLAIN or LOGIN") }
        guard options["cafile"] != "" else { throw Invalid(reason: "cafile is empty") }
        caFile = options["cafile"]
        connectTimeout = try Self.duration("connect_timeout_ms", in: options, default: 10_000)
        replyTimeout = try Self.duration("reply_timeout_ms", in: options, default: 60_000)
        timeout = try Self.duration("timeout_ms", in: options, default: 120_000)
    }

    private static func isLoopback(_ host: String) -> Bool {
        host == "localhost" || host == "[::1]" || host.hasPrefix("127.") && host.utf8.allSatisfy { $0 < 0x3a }
    }

    private static func duration(
        _ key: String, in options: [String: String], default value: Int
    ) throws(Invalid) -> Duration {
        guard let text = options[key] else { return .milliseconds(value) }
        guard let value = Int(text), (1...3_600_000).contains(value) else {
            throw Invalid(reason: "\(key) must be a number of milliseconds from 1 to 3600000")
        }
        return .milliseconds(value)
    }

    /// The server and the protection, without credentials.
    package var description: String {
        let scheme = security == .implicitTLS ? "smtps" : "smtp"
        return "\(scheme)://\(host):\(port)" + (security == .none ? "?starttls=none" : "")
    }

    /// What libcurl is given: no credentials, the EHLO name as the path.
    var transferURL: String {
        let scheme = security == .implicitTLS ? "smtps" : "smtp"
        let name = (clientName ?? "").utf8.map { byte -> String in
            Mailbox.isAtomText(byte) && byte != UInt8(ascii: "%") && byte != UInt8(ascii: "?")
                && byte != UInt8(ascii: "#") && byte != UInt8(ascii: "/") || byte == UInt8(ascii: ".")
                ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
        return "\(scheme)://\(host):\(port)/\(name)"
    }
}
