extension AMQPConfiguration {
    /// Reads `amqp(s)://user:password@host:port/vhost?key=value&...`, as the RabbitMQ URI specification has it.
    ///
    /// Every part may be percent-encoded; the default virtual host is `/%2F` or no path. Keys: `cacertfile`, `certfile`,
    /// `keyfile` (paths, amqps only), `verify` (only `verify_peer`), `heartbeat` (seconds), `connection_timeout`
    /// (milliseconds), `auth_mechanism` (`plain` or `external`).
    ///
    /// - Throws: `invalidArgument`, naming the part that is wrong and never quoting the password.
    package init(url: String, connectionName: String) throws(AMQPError) {
        let scheme: Substring
        var rest: Substring
        if url.hasPrefix("amqp://") {
            (scheme, rest) = ("amqp", url.dropFirst(7))
        } else if url.hasPrefix("amqps://") {
            (scheme, rest) = ("amqps", url.dropFirst(8))
        } else {
            throw Self.invalid("the address must begin with amqp:// or amqps://")
        }
        if rest.contains("#") { throw Self.invalid("a # in the address must be written %23") }

        var query: Substring = ""
        if let mark = rest.firstIndex(of: "?") {
            query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        var virtualHost = "/"
        if let slash = rest.firstIndex(of: "/") {
            let path = rest[rest.index(after: slash)...]
            rest = rest[..<slash]
            if path.isEmpty {
                throw Self.invalid("the path / names no virtual host; the default one is written /%2F")
            }
            if path.contains("/") { throw Self.invalid("a / inside the virtual host must be written %2F") }
            virtualHost = try Self.decode(path, "virtual host")
        }

        var user = "guest"
        var password = "guest"
        if let at = rest.lastIndex(of: "@") {
            let credentials = rest[..<at]
            rest = rest[rest.index(after: at)...]
            if credentials.contains("@") { throw Self.invalid("an @ in user or password must be written %40") }
            if let colon = credentials.firstIndex(of: ":") {
                user = try Self.decode(credentials[..<colon], "user")
                password = try Self.decode(credentials[credentials.index(after: colon)...], "password")
            } else {
                user = try Self.decode(credentials, "user")
                password = ""
            }
        }
        let (host, port) = try Self.authority(rest, defaultPort: scheme == "amqps" ? 5671 : 5672)

        self.init(
            host: host, port: port, user: user, password: password, virtualHost: virtualHost,
            tls: scheme == "amqps" ? TLS() : nil, connectionName: connectionName)
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            try apply(
                key: String(parts[0]), value: Self.decode(parts.count == 2 ? parts[1] : "", "value of \(parts[0])"))
        }
        try validate()
    }

    /// Checks what the C library would take badly: it reads its texts up to the first zero byte, and its numbers as C ints.
    func validate() throws(AMQPError) {
        for (name, text) in [
            ("host", host), ("user", user), ("password", password.value), ("virtual host", virtualHost),
            ("connection name", connectionName), ("cacertfile", tls?.caFile ?? ""),
            ("certfile", tls?.certificateFile ?? ""), ("keyfile", tls?.keyFile ?? ""),
        ] where text.utf8.contains(0) {
            throw Self.invalid("the \(name) contains a zero byte")
        }
        if host.isEmpty { throw Self.invalid("the host is missing") }
        if !(1...65_535).contains(port) { throw Self.invalid("the port must be 1 to 65535") }
        if user.isEmpty { throw Self.invalid("the user is missing") }
        if virtualHost.utf8.count > 255 { throw Self.invalid("the virtual host is longer than 255 bytes") }
        if connectionName.utf8.count > 255 { throw Self.invalid("the connection name is longer than 255 bytes") }
        if !(.seconds(1) ... .seconds(3_600)).contains(heartbeat) {
            throw Self.invalid("heartbeat must be 1 to 3600 seconds")
        }
        for (name, value) in [("connection_timeout", connectTimeout), ("request timeout", rpcTimeout)]
        where !(.milliseconds(1) ... .seconds(3_600)).contains(value) {
            throw Self.invalid("the \(name) must be between 1 ms and one hour")
        }
        if let tls, (tls.certificateFile == nil) != (tls.keyFile == nil) {
            throw Self.invalid("certfile and keyfile go together")
        }
        if authentication == .external, tls?.certificateFile == nil {
            throw Self.invalid("auth_mechanism=external needs amqps:// with certfile and keyfile")
        }
    }

    private mutating func apply(key: String, value: String) throws(AMQPError) {
        switch key {
        case "cacertfile", "certfile", "keyfile":
            guard tls != nil else { throw Self.invalid("\(key) needs amqps://") }
            if value.isEmpty { throw Self.invalid("\(key) is empty") }
            switch key {
            case "cacertfile": tls?.caFile = value
            case "certfile": tls?.certificateFile = value
            default: tls?.keyFile = value
            }
        case "verify":
            guard value == "verify_peer" else {
                throw Self.invalid("verify must be verify_peer; use cacertfile to trust a private authority")
            }
        case "heartbeat":
            guard let seconds = Int(value), (1...3_600).contains(seconds) else {
                throw Self.invalid("heartbeat must be 1 to 3600 seconds")
            }
            heartbeat = .seconds(seconds)
        case "connection_timeout":
            guard let milliseconds = Int(value), (1...3_600_000).contains(milliseconds) else {
                throw Self.invalid("connection_timeout must be 1 to 3600000 milliseconds")
            }
            connectTimeout = .milliseconds(milliseconds)
        case "auth_mechanism":
            switch value.lowercased() {
            case "plain": authentication = .plain
            case "external": authentication = .external
            default: throw Self.invalid("auth_mechanism must be plain or external")
            }
        default:
            throw Self.invalid("unknown key in the address: \(key.prefix(40))")
        }
    }

    private static func authority(_ text: Substring, defaultPort: Int) throws(AMQPError) -> (String, Int) {
        var host = text
        var port: Substring?
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { throw invalid("the host lacks its closing ]") }
            host = text[text.index(after: text.startIndex)..<end]
            let tail = text[text.index(after: end)...]
            if tail.hasPrefix(":") {
                port = tail.dropFirst()
            } else if !tail.isEmpty {
                throw invalid("after the host's ] only a port may follow")
            }
        } else if let colon = text.firstIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        guard let port, !port.isEmpty else { return (try decode(host, "host"), defaultPort) }
        guard port.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(port) else {
            throw invalid("the port is not a number")
        }
        return (try decode(host, "host"), number)
    }

    private static func decode(_ text: Substring, _ part: String) throws(AMQPError) -> String {
        var bytes: [UInt8] = []
        var input = text.utf8.makeIterator()
        while let byte = input.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = input.next().flatMap(hexDigit), let low = input.next().flatMap(hexDigit) else {
                throw invalid("a % in the \(part) must be followed by two hexadecimal digits (a % itself is %25)")
            }
            bytes.append(high << 4 | low)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw invalid("the \(part) is not UTF-8")
        }
        return decoded
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        Character(UnicodeScalar(byte)).hexDigitValue.map(UInt8.init)
    }

    private static func invalid(_ reason: String) -> AMQPError {
        AMQPError(.invalidArgument, "AMQP address: \(reason)")
    }
}
