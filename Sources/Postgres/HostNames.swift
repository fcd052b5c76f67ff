import Glibc

/// Finds the addresses of host names before libpq is asked to connect.
///
/// libpq looks names up inside `PQconnectStartParams`, where it blocks the thread that owns the sockets of all other
/// connections, for as long as the system's resolver takes. With `hostaddr` set it looks nothing up; `host` then still
/// says whose certificate to expect ("Parameter Key Words").
struct HostNames: Sendable {
    /// The numeric addresses of a name, best first; none and the reason if it has none. May block.
    typealias Lookup = @Sendable (_ name: String) -> (addresses: [String], failure: String)

    private let hosts: [String]
    private let ports: [String]

    /// Nil if there is nothing to look up: numeric addresses, socket folders, `hostaddr` given, or no host at all.
    init?(_ parameters: [String: String]) {
        guard let list = parameters["host"], parameters["hostaddr", default: ""].isEmpty else { return nil }
        hosts = list.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard hosts.contains(where: Self.isName) else { return nil }
        let ports = parameters["port", default: ""].split(separator: ",", omittingEmptySubsequences: false)
        // Libpq refuses other counts, in its own words.
        guard ports.count <= 1 || ports.count == hosts.count else { return nil }
        self.ports = hosts.indices.map { String(ports.count > 1 ? ports[$0] : ports.first ?? "") }
    }

    /// The parameters that name every address of every host, in order, as libpq itself would try them.
    ///
    /// - Throws: `connectionFailed` if no host has an address.
    func resolve(_ lookUp: Lookup) throws(PostgresError) -> [String: String] {
        var resolved: [(host: String, address: String, port: String)] = []
        var failures: [String] = []
        for (host, port) in zip(hosts, ports) {
            guard Self.isName(host) else {
                resolved.append((host, "", port))
                continue
            }
            let (addresses, failure) = lookUp(host)
            resolved += addresses.map { (host, $0, port) }
            if addresses.isEmpty { failures.append("the host name \(host) cannot be resolved: \(failure)") }
        }
        guard !resolved.isEmpty else { throw PostgresError(.connectionFailed, failures.joined(separator: "; ")) }
        return [
            "host": resolved.map(\.host).joined(separator: ","),
            "hostaddr": resolved.map(\.address).joined(separator: ","),
            "port": resolved.map(\.port).joined(separator: ","),
        ]
    }

    private static func isName(_ host: String) -> Bool {
        // A path, or `@` and an abstract name, is a socket of this machine; empty means the default one.
        guard let first = host.first, first != "/", first != "@" else { return false }
        var address = in6_addr()
        return inet_pton(AF_INET, host, &address) != 1 && inet_pton(AF_INET6, host, &address) != 1
            && !host.contains("%")  // An IPv6 address with its zone, which a name cannot hold.
    }

    /// Asks the system's resolver (`getaddrinfo(3)`).
    static let system: Lookup = { name in
        var hints = addrinfo()
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(name, nil, &hints, &found)
        guard status == 0 else { return ([], String(cString: gai_strerror(status))) }
        defer { freeaddrinfo(found) }
        var addresses: [String] = []
        var next = found
        while let entry = next {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let length = socklen_t(text.count)
            if getnameinfo(entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, length, nil, 0, NI_NUMERICHOST) == 0
            {
                let address = text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
                if !addresses.contains(address) { addresses.append(address) }
            }
            next = entry.pointee.ai_next
        }
        return (addresses, "it has no address")
    }
}
