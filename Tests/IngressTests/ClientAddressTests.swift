import HTTPTypes
import NIOCore
import Testing

@testable import Ingress

@Suite struct ClientAddressTests {
    private static func address(
        _ peer: String, _ forwarded: [String], trusting proxies: [String]
    ) throws -> String? {
        var headers = HTTPFields()
        for value in forwarded {
            headers.append(HTTPField(name: try #require(HTTPField.Name("X-Forwarded-For")), value: value))
        }
        return ClientAddress.of(
            try SocketAddress(ipAddress: peer, port: 1), headers,
            trusting: try proxies.map { try #require(AddressRange($0)) })
    }

    @Test func withoutProxiesOfOursTheHeaderIsNotBelieved() throws {
        #expect(try Self.address("192.0.2.1", ["198.51.100.7"], trusting: []) == "192.0.2.1")
        #expect(try Self.address("192.0.2.1", ["198.51.100.7"], trusting: ["10.0.0.0/8"]) == "192.0.2.1")
    }

    @Test(arguments: [
        (["198.51.100.7"], "198.51.100.7"),
        // What the client itself wrote stands first, and is not asked.
        (["203.0.113.66, 198.51.100.7"], "198.51.100.7"), (["203.0.113.66", "198.51.100.7"], "198.51.100.7"),
        (["198.51.100.7, 10.1.2.3"], "198.51.100.7"), (["198.51.100.7, 10.1.2.3 ,10.9.9.9"], "198.51.100.7"),
        ([], "10.0.0.1"), (["unknown"], "10.0.0.1"), (["198.51.100.7, junk"], "10.0.0.1"), ([""], "10.0.0.1"),
        (["10.0.0.5"], "10.0.0.5"), (["2001:db8::1"], "2001:db8::1"), (["::ffff:198.51.100.7"], "198.51.100.7"),
    ])
    func theLastOneThatIsNoProxyOfOursIsTheClient(forwarded: [String], client: String) throws {
        #expect(try Self.address("10.0.0.1", forwarded, trusting: ["10.0.0.0/8"]) == client)
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("192.0.2.1", "192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false), ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "::1", false),
        ("192.0.2.128/25", "192.0.2.129", true), ("192.0.2.128/25", "192.0.2.127", false),
        ("2001:db8::/33", "2001:db8:7fff::1", true), ("2001:db8::/33", "2001:db8:8000::1", false),
    ])
    func rangesHoldWhatBeginsLikeThem(range: String, address: String, isIn: Bool) throws {
        let bytes = try #require(ClientAddress.bytes(of: address))
        #expect(try #require(AddressRange(range)).contains(bytes) == isIn)
    }

    @Test(arguments: ["", "10.0.0.0/33", "10.0.0/8", "::/129", "host", "10.0.0.1/", "10.0.0.1/-1", "10.0.0.1/8/8"])
    func whatIsNoRangeIsRefused(text: String) {
        #expect(AddressRange(text) == nil)
    }

    @Test func aNetworkOfIPv6CountsAsOne() {
        #expect(ClientAddress.network(of: "2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64")
        #expect(ClientAddress.network(of: "192.0.2.9") == "192.0.2.9")
    }
}
