import Foundation
import Synchronization

/// A port of loopback that nobody listens on.
package enum FreePort {
    /// No port could be had.
    package struct NoneFree: Error {}

    /// Given out by this process.
    private static let taken = Mutex<Set<Int>>([])

    /// A port that was free a moment ago, and that the kernel does not hand out to somebody's outgoing connection.
    package static func take() throws -> Int {
        for _ in 0..<1_000 {
            let port = Int.random(in: candidates)
            guard taken.withLock({ $0.insert(port).inserted }) else { continue }
            if isFree(port) { return port }
        }
        throw NoneFree()
    }

    /// Below the range of client ports; above privileged ones, and away from well-known servers.
    private static let candidates: ClosedRange<Int> = {
        let range = try? String(contentsOfFile: "/proc/sys/net/ipv4/ip_local_port_range", encoding: .utf8)
        let floor = range.flatMap { $0.split(whereSeparator: \.isWhitespace).first }.flatMap { Int($0) } ?? 32_768
        return floor > 16_000 ? 15_000...(floor - 1) : 15_000...65_000
    }()

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = UInt16(port).bigEndian
        return withUnsafeMutablePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
