import Glibc
import HTTPTypes
import NIOCore

/// Addresses that belong together, such as `10.0.0.0/8`, or one alone.
package struct AddressRange: Hashable, Sendable {
    private let bytes: [UInt8]
    private let prefixBits: Int

    /// - Parameter text: an address of IPv4 or IPv6, with the length of its prefix behind a slash if it is a range.
    /// - Returns: nil if the text is no such thing.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let bytes = ClientAddress.bytes(of: String(parts[0])) else { return nil }
        let length = parts.count == 2 ? Int(parts[1]) : bytes.count * 8
        guard let length, (0...bytes.count * 8).contains(length) else { return nil }
        self.bytes = bytes
        prefixBits = length
    }

    func contains(_ address: [UInt8]) -> Bool {
        guard address.count == bytes.count else { return false }
        return (0..<prefixBits).allSatisfy { bit in
            let mask = UInt8(0x80) >> UInt8(bit % 8)
            return address[bit / 8] & mask == bytes[bit / 8] & mask
        }
    }
}

/// Where a request comes from.
enum ClientAddress {
    /// The peer of the connection or, if that is one of our proxies, whom it and the proxies before it name in
    /// `X-Forwarded-For`: the last one that is no proxy of ours. What stands before that anybody may have written.
    ///
    /// - Returns: nil if the connection is none of IP.
    static func of(_ peer: SocketAddress?, _ headers: HTTPFields, trusting proxies: [AddressRange]) -> String? {
        guard var client = peer?.ipAddress.flatMap(bytes(of:)) else { return nil }
        if !proxies.isEmpty {
            let hops = headers[values: .forwardedFor].flatMap { $0.split(separator: ",") }
            for hop in hops.reversed() {
                guard proxies.contains(where: { $0.contains(client) }),
                    let next = bytes(of: String(hop.trimming(\.isWhitespace)))
                else { break }
                client = next
            }
        }
        return text(of: client)
    }

    /// What the throttle counts as one: an IPv4 address, or the first 64 bits of one of IPv6.
    static func network(of address: String) -> String {
        guard let bytes = bytes(of: address), bytes.count == 16 else { return address }
        return (text(of: bytes.prefix(8) + Array(repeating: 0, count: 8)) ?? address) + "/64"
    }

    /// 4 or 16 bytes; an IPv4 address that is written as one of IPv6 is an IPv4 address.
    static func bytes(of text: String) -> [UInt8]? {
        var four = [UInt8](repeating: 0, count: 4)
        if inet_pton(AF_INET, text, &four) == 1 { return four }
        var sixteen = [UInt8](repeating: 0, count: 16)
        // A zone, such as %eth0, means something on one host only.
        guard inet_pton(AF_INET6, String(text.prefix { $0 != "%" }), &sixteen) == 1 else { return nil }
        let isMapped = sixteen[0..<10].allSatisfy { $0 == 0 } && sixteen[10...11].allSatisfy { $0 == 0xFF }
        return isMapped ? Array(sixteen[12...]) : sixteen
    }

    private static func text(of bytes: [UInt8]) -> String? {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes, &text, socklen_t(text.count)) != nil else {
            return nil
        }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
