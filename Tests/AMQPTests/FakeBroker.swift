import Foundation
import Glibc
import Synchronization

/// A broker that speaks just enough AMQP to let a client in, and then says whatever a test wants it to say.
///
/// For what a real broker does only when it is short of memory, or never.
final class FakeBroker: Sendable {
    let port: Int
    private let listener: CInt
    private let client = Mutex<CInt>(-1)
    private let received = Mutex(0)
    private let frameMax: UInt32

    /// How many publishes have arrived, as methods.
    var publishes: Int { received.withLock { $0 } }

    /// - Parameter frameMax: the largest frame it offers.
    init(frameMax: UInt32 = 131_072) throws {
        self.frameMax = frameMax
        listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { [listener] address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, size) == 0 && listen(listener, 8) == 0
                    && getsockname(listener, address, &size) == 0
            }
        }
        guard isListening else { throw POSIXError(.EADDRINUSE) }
        port = Int(UInt16(bigEndian: address.sin_port))
        let thread = Thread { [self] in
            while true {
                let descriptor = accept(listener, nil, nil)
                guard descriptor >= 0 else { break }
                client.withLock { $0 = descriptor }
                serve(descriptor)
                client.withLock { $0 = -1 }
                close(descriptor)
            }
            // Here and not in `stop`: its number must not be somebody else's while this thread still uses it.
            close(listener)
        }
        thread.start()
    }

    func stop() {
        client.withLock { if $0 >= 0 { shutdown($0, CInt(SHUT_RDWR)) } }
        shutdown(listener, CInt(SHUT_RDWR))
    }

    /// Sends bytes to the client.
    func say(_ bytes: [UInt8]) {
        client.withLock { _ = send($0, bytes, bytes.count, CInt(MSG_NOSIGNAL)) }
    }

    /// A method frame.
    static func method(_ channel: UInt8, _ classID: UInt8, _ methodID: UInt8, _ arguments: [UInt8] = []) -> [UInt8] {
        frame(1, channel, [0, classID, 0, methodID] + arguments)
    }

    static func frame(_ type: UInt8, _ channel: UInt8, _ payload: [UInt8]) -> [UInt8] {
        [type, 0, channel] + big(UInt32(payload.count)) + payload + [0xCE]
    }

    static func short(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + Array(text.utf8) }
    static func big(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
    static func tag(_ value: UInt32) -> [UInt8] { [0, 0, 0, 0] + big(value) }

    private func serve(_ descriptor: CInt) {
        guard read(descriptor, 8) != nil else { return }
        // connection.start: version 0-9, no properties, mechanism and locale.
        let plain = Array("PLAIN".utf8)
        let locale = Array("en_US".utf8)
        say(
            Self.method(
                0, 10, 10,
                [0, 9] + Self.big(0) + Self.big(UInt32(plain.count)) + plain + Self.big(UInt32(locale.count)) + locale))
        while let header = read(descriptor, 7) {
            let size = header[3...6].reduce(0) { $0 << 8 | Int($1) }
            guard let payload = read(descriptor, size + 1) else { return }
            guard header[0] == 1 else { continue }
            let channel = header[2]
            switch (payload[1], payload[3]) {
            case (10, 11): say(Self.method(0, 10, 30, [0, 2] + Self.big(frameMax) + [0, 60]))
            case (10, 40): say(Self.method(0, 10, 41, [0]))
            case (10, 50): say(Self.method(0, 10, 51))
            case (20, 10): say(Self.method(channel, 20, 11, Self.big(0)))
            case (20, 40): say(Self.method(channel, 20, 41))
            case (60, 40): received.withLock { $0 += 1 }
            case (85, 10): say(Self.method(channel, 85, 11))
            default: break
            }
        }
    }

    private func read(_ descriptor: CInt, _ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var got = 0
        while got < count {
            let result = bytes.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress! + got, count - got, 0) }
            guard result > 0 else { return nil }
            got += result
        }
        return bytes
    }
}

/// Runs a test against a fake broker.
func withFakeBroker<Result>(
    frameMax: UInt32 = 131_072, _ body: (FakeBroker) async throws -> Result
) async throws -> Result {
    let broker = try FakeBroker(frameMax: frameMax)
    defer { broker.stop() }
    return try await body(broker)
}
