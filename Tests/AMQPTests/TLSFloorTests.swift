import AMQP
import Foundation
import Glibc
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct TLSFloorTests {
    /// With an OpenSSL that is set to allow everything from TLS 1.0 on, which is how the library comes.
    @Test func nothingBelowTLS12IsOffered() async {
        await #expect(processExitsWith: .success) {
            let settings = "\(NSTemporaryDirectory())/tls-floor-\(UInt64.random(in: 0 ... .max)).cnf"
            let text = """
                openssl_conf = all
                [all]
                ssl_conf = ssl
                [ssl]
                system_default = defaults
                [defaults]
                MinProtocol = TLSv1
                CipherString = DEFAULT@SECLEVEL=0

                """
            try text.write(toFile: settings, atomically: true, encoding: .utf8)
            defer { unlink(settings) }
            setenv("OPENSSL_CONF", settings, 1)

            let peer = try FirstWords()
            var configuration = AMQPConfiguration(
                host: "127.0.0.1", port: peer.port, user: "u", password: "p", virtualHost: "/", tls: .init(),
                connectionName: "test")
            configuration.connectTimeout = .seconds(10)
            let error = await #expect(throws: AMQPError.self) {
                try await Connection.open(configuration, logger: quiet).close()
            }
            #expect(error?.code == .tls)
            #expect(peer.offeredVersions == [0x0304, 0x0303])
        }
    }
}

/// Takes one connection, keeps what the client says first, and hangs up.
private final class FirstWords: Sendable {
    let port: Int
    private let heard = Mutex<[UInt8]>([])

    init() throws {
        let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, size) == 0 && listen(listener, 1) == 0
                    && getsockname(listener, address, &size) == 0
            }
        }
        guard isListening else { throw POSIXError(.EADDRINUSE) }
        port = Int(UInt16(bigEndian: address.sin_port))
        let thread = Thread { [self] in
            let client = accept(listener, nil, nil)
            var bytes = [UInt8](repeating: 0, count: 4_096)
            // The first record says how long it is (RFC 8446 section 5.1).
            var count = 0
            while count < 5 || count < 5 + Int(bytes[3]) << 8 + Int(bytes[4]) {
                let got = bytes.withUnsafeMutableBytes { recv(client, $0.baseAddress! + count, 4_096 - count, 0) }
                if got <= 0 { break }
                count += got
            }
            heard.withLock { $0 = Array(bytes[..<count]) }
            close(client)
            close(listener)
        }
        thread.start()
    }

    /// The ClientHello's supported_versions (RFC 8446 sections 4.1.2 and 4.2.1), best first.
    var offeredVersions: [UInt16] {
        let bytes = heard.withLock { $0 }
        func short(_ at: Int) -> Int { at + 1 < bytes.count ? Int(bytes[at]) << 8 + Int(bytes[at + 1]) : 0 }
        // Record header, handshake header, version and random; then the session, the ciphers and the compressions.
        var at = 5 + 4 + 2 + 32
        guard at < bytes.count else { return [] }
        at += 1 + Int(bytes[at])
        at += 2 + short(at)
        guard at < bytes.count else { return [] }
        at += 1 + Int(bytes[at])
        at += 2
        while at + 4 < bytes.count {
            let size = short(at + 2)
            if short(at) == 43 { return stride(from: at + 5, to: at + 4 + size, by: 2).map { UInt16(short($0)) } }
            at += 4 + size
        }
        return []
    }
}
