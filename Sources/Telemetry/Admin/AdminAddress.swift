import Glibc

/// Where the admin endpoint listens.
package struct AdminAddress: Hashable, Sendable, CustomStringConvertible {
    /// IPv4 in dotted form.
    package let host: String
    /// 0 takes any free port.
    package let port: UInt16

    /// - Parameter text: `host:port`; the host may be `localhost`.
    /// - Returns: nil if it is not an IPv4 address and a port.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let port = UInt16(parts[1]) else { return nil }
        let host = parts[0] == "localhost" ? "127.0.0.1" : String(parts[0])
        var address = in_addr()
        guard inet_pton(AF_INET, host, &address) == 1 else { return nil }
        self.host = host
        self.port = port
    }

    package var description: String { "\(host):\(port)" }

    /// Binds a listening socket that never blocks.
    func listen() throws(AdminServerError) -> (descriptor: CInt, port: UInt16) {
        let descriptor = socket(
            AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw AdminServerError(address: self, errno: errno) }
        var one: CInt = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<CInt>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        inet_pton(AF_INET, host, &address.sin_addr)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                guard bind(descriptor, pointer, size) == 0, Glibc.listen(descriptor, 64) == 0 else { return errno }
                return getsockname(descriptor, pointer, &size) == 0 ? 0 : errno
            }
        }
        guard status == 0 else {
            close(descriptor)
            throw AdminServerError(address: self, errno: status)
        }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }
}

/// The admin endpoint cannot listen.
package struct AdminServerError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    init(address: AdminAddress, errno: CInt) {
        let reason = String(cString: strerror(errno))
        description =
            "the admin endpoint cannot listen on \(address): \(reason). Set NEFF_ADMIN_ADDRESS to a free address."
    }
}
