internal import FoundationEssentials

/// Where the management API listens and who asks: `http(s)://user:password@host:port[/prefix][?cacertfile=PATH]`.
package struct ManagementAddress: Sendable, Hashable, CustomStringConvertible {
    /// Scheme, host, port and path prefix, without a slash at the end.
    let base: String
    let user: String
    let password: String
    let caFile: String?

    /// - Throws: `invalidSetting`, never quoting the password.
    package init(_ text: String) throws(TopologyError) {
        func invalid(_ problem: String) -> TopologyError {
            TopologyError(
                .invalidSetting,
                "the management address \(problem); it reads http://user:password@host:15672, special characters "
                    + "percent-encoded")
        }
        guard let parts = URLComponents(string: text), let host = parts.percentEncodedHost, !host.isEmpty else {
            throw invalid("does not parse")
        }
        guard let scheme = parts.scheme, ["http", "https"].contains(scheme) else {
            throw invalid("must begin with http:// or https://")
        }
        guard let user = parts.user, !user.isEmpty, let password = parts.password else {
            throw invalid("holds no user and password")
        }
        guard parts.fragment == nil else { throw invalid("holds a #, which must be written %23") }
        var caFile: String?
        for item in parts.queryItems ?? [] {
            guard item.name == "cacertfile", let value = item.value, !value.isEmpty else {
                throw invalid("has the option \(item.name); the only one is cacertfile")
            }
            caFile = value
        }
        var path = parts.percentEncodedPath
        while path.hasSuffix("/") { path.removeLast() }
        base = "\(scheme)://\(host)\(parts.port.map { ":\($0)" } ?? "")\(path)"
        self.user = user
        self.password = password
        self.caFile = caFile
    }

    /// Without user and password.
    package var description: String { base }
}
