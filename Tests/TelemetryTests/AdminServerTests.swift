import Foundation
import Glibc
import Logging
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

@Suite(.timeLimit(.minutes(1))) struct AdminServerTests {
    /// A server on a free port for the time of `body`; it must have ended when this returns.
    static func withServer(
        timeLimit: Duration = .seconds(5), readiness: @escaping @Sendable () async -> [Readiness] = { [] },
        metrics: @escaping @Sendable () -> String = { "m 1\n" },
        accept: @escaping @Sendable (CInt) -> CInt = { listener in
            let descriptor = Glibc.accept(listener, nil, nil)
            return descriptor >= 0 ? descriptor : -errno
        }, body: (UInt16) async throws -> Void
    ) async throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let server = AdminServer(
            address: try #require(AdminAddress("127.0.0.1:0")), timeLimit: timeLimit, logger: logger,
            readiness: readiness, metrics: metrics, acceptOne: accept)
        let port = try await server.start()
        try await body(port)
        await server.stop()
        #expect(throws: (any Error).self) { try Peer(port) }
    }

    @Test func aliveIsAnsweredAtOnce() async throws {
        try await Self.withServer { port in
            let answer = try await Peer.get(port, "/healthz")
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.hasSuffix("\r\n\r\nalive\n"))
            #expect(answer.contains("Connection: close\r\n"))
        }
    }

    @Test func readinessNamesEveryDependency() async throws {
        let isUp = Mutex(false)
        let readiness: @Sendable () async -> [Readiness] = {
            let ready = isUp.withLock { $0 }
            return [
                Readiness(name: "amqp.consumer", isReady: true, detail: "connected"),
                Readiness(name: "postgres", isReady: ready, detail: ready ? "up" : "refused \"login\""),
            ]
        }
        try await Self.withServer(readiness: readiness) { port in
            let before = try await Peer.get(port, "/readyz")
            #expect(before.hasPrefix("HTTP/1.1 503 "))
            #expect(
                before.hasSuffix(
                    #"{"ready":false,"dependencies":[{"name":"amqp.consumer","ready":true,"detail":"connected"},"#
                        + #"{"name":"postgres","ready":false,"detail":"refused \"login\""}]}"# + "\n"))
            isUp.withLock { $0 = true }
            let after = try await Peer.get(port, "/readyz?verbose=1")
            #expect(after.hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test func metricsHaveTheirContentTypeAndHeadHasNoBody() async throws {
        try await Self.withServer { port in
            let get = try await Peer.get(port, "/metrics")
            #expect(get.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"))
            #expect(get.hasSuffix("\r\n\r\nm 1\n"))
            let head = try await Peer.exchange(port, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(head.contains("Content-Length: 4\r\n") && head.hasSuffix("\r\n\r\n"))
        }
    }

    @Test(arguments: [
        ("GET /nothing HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "), ("POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 "),
        ("GET /metrics\r\n\r\n", "HTTP/1.1 400 "), ("GET /metrics HTTP/9.9\r\n\r\n", "HTTP/1.1 400 "),
        ("GET metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "), ("\u{1}\u{2} / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "),
        ("GET /healthz HTTP/1.0\n\n", "HTTP/1.1 200 "),
        ("GET /" + String(repeating: "a", count: 9_000), "HTTP/1.1 431 "),
    ])
    func whatIsNoSimpleGetIsRefused(request: String, status: String) async throws {
        try await Self.withServer { port in
            let answer = try await Peer.exchange(port, request)
            #expect(answer.hasPrefix(status))
        }
    }

    @Test func aRequestInPiecesIsPutTogether() async throws {
        try await Self.withServer { port in
            let peer = try Peer(port)
            for piece in ["GET /hea", "lthz HTTP/1.1\r", "\nHost: a\r\n", "\r", "\n"] { try peer.send(piece) }
            #expect(await peer.readToEnd().hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test func silentPeersAreDroppedAndDoNotKeepOthersOut() async throws {
        try await Self.withServer(timeLimit: .milliseconds(300)) { port in
            let silent = try (0..<60).map { _ in try Peer(port) }
            try silent[0].send("GET /healthz HTTP/1.1\r\n")
            // More than the server holds at once: this one is answered when the first are dropped.
            #expect(try await Peer.get(port, "/healthz").hasPrefix("HTTP/1.1 200 "))
            #expect(await silent[0].readToEnd() == "")
        }
    }

    @Test func aPeerThatDoesNotReadIsDropped() async throws {
        let page = String(repeating: "x", count: 32 << 20)
        let metrics: @Sendable () -> String = { page }
        try await Self.withServer(timeLimit: .milliseconds(300), metrics: metrics) { port in
            let slow = try Peer(port)
            try slow.send("GET /metrics HTTP/1.1\r\n\r\n")
            #expect(try await Peer.get(port, "/healthz").hasPrefix("HTTP/1.1 200 "))
            // The silent one came later, so when its time is up, the slow one's is too.
            let nothing = try await Peer(port).readToEnd()
            #expect(nothing == "")
            #expect(await slow.readToEnd().utf8.count < page.utf8.count)
        }
    }

    @Test func aCheckThatHangsBlocksNobodyElse() async throws {
        let readiness: @Sendable () async -> [Readiness] = {
            try? await Task.sleep(for: .seconds(600))
            return []
        }
        try await Self.withServer(timeLimit: .milliseconds(300), readiness: readiness) { port in
            let hanging = try Peer(port)
            try hanging.send("GET /readyz HTTP/1.1\r\n\r\n")
            #expect(try await Peer.get(port, "/healthz").hasPrefix("HTTP/1.1 200 "))
            #expect(await hanging.readToEnd() == "")
        }
    }

    /// As `nc -N` does.
    @Test func aPeerThatHasSaidAllIsStillAnswered() async throws {
        let (gate, opener) = AsyncStream<Void>.makeStream()
        let readiness: @Sendable () async -> [Readiness] = {
            for await _ in gate { break }
            return []
        }
        try await Self.withServer(readiness: readiness) { port in
            let peer = try Peer(port)
            try peer.send("GET /readyz HTTP/1.1\r\n\r\n")
            peer.endOutput()
            // Two more exchanges: by then the server has seen the end of the first one's output.
            for _ in 0..<2 { #expect(try await Peer.get(port, "/healthz").hasPrefix("HTTP/1.1 200 ")) }
            opener.finish()
            #expect(await peer.readToEnd().hasPrefix("HTTP/1.1 200 "))
        }
    }

    /// With no descriptor left, the connection stays in the queue and the listener stays readable.
    @Test func acceptingRestsWhenThereIsNoDescriptorLeft() async throws {
        let calls = Mutex<[ContinuousClock.Instant]>([])
        let accept: @Sendable (CInt) -> CInt = { listener in
            let count = calls.withLock { calls in
                calls.append(.now)
                return calls.count
            }
            if count <= 3 { return -EMFILE }
            if count == 4 { return -EINTR }
            let descriptor = Glibc.accept(listener, nil, nil)
            return descriptor >= 0 ? descriptor : -errno
        }
        try await Self.withServer(accept: accept) { port in
            let answer = try await Peer.get(port, "/healthz")
            #expect(answer.hasPrefix("HTTP/1.1 200 "))
            // Timers are late at times and never early.
            let instants = calls.withLock { $0 }
            for index in 0..<3 { #expect(instants[index + 1] - instants[index] >= .milliseconds(100)) }
        }
    }

    @Test func anAddressInUseIsSaidInOneLine() async throws {
        try await Self.withServer { port in
            let second = AdminServer(
                address: try #require(AdminAddress("127.0.0.1:\(port)")), logger: Logger(label: "t"), readiness: { [] },
                metrics: { "" })
            let error = await #expect(throws: AdminServerError.self) { try await second.start() }
            #expect(error?.description.contains("NEFF_ADMIN_ADDRESS") == true)
        }
    }

    @Test(arguments: ["", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "example.org:80", "1.2.3:80"])
    func aMalformedAddressIsRefused(text: String) {
        #expect(AdminAddress(text) == nil)
    }
}

/// A raw TCP peer on loopback.
final class Peer: Sendable {
    private let descriptor: CInt

    struct Failure: Error {}

    init(_ port: UInt16) throws {
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                connect(descriptor, pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if status != 0 { throw Failure() }
    }

    deinit { close(descriptor) }

    func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        guard Glibc.send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL)) == bytes.count else { throw Failure() }
    }

    /// Says that nothing more will be sent.
    func endOutput() {
        shutdown(descriptor, CInt(SHUT_WR))
    }

    /// Everything until the server ends the connection.
    func readToEnd() async -> String {
        let descriptor = descriptor
        return await withCheckedContinuation { continuation in
            Thread.detachNewThread { [self] in
                withExtendedLifetime(self) {
                    var all: [UInt8] = []
                    var chunk = [UInt8](repeating: 0, count: 65_536)
                    while case let count = read(descriptor, &chunk, chunk.count), count > 0 {
                        all += chunk.prefix(count)
                    }
                    continuation.resume(returning: String(decoding: all, as: UTF8.self))
                }
            }
        }
    }

    static func exchange(_ port: UInt16, _ request: String) async throws -> String {
        let peer = try Peer(port)
        try peer.send(request)
        return await peer.readToEnd()
    }

    static func get(_ port: UInt16, _ path: String) async throws -> String {
        try await exchange(port, "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
    }
}
