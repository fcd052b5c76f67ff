import Glibc
import Postgres
import Synchronization
import TestSupport

/// A TCP proxy on loopback that can go silent, or cut connections when the client says a word.
///
/// Threads and blocking calls, so that it shares nothing with what it tests.
final class FaultProxy: Sendable {
    private struct State {
        var isStopped = false
        var isSilent = false
        var word: [UInt8] = []
        var onWord: WordAction = .pass
        var sockets: [CInt] = []
        var accepted = 0
        var isHolding = false
    }

    enum WordAction: Sendable {
        case pass
        /// Passes the word on and keeps the server's answer until `letGo()`.
        case holdAnswer
        /// Passes the word on and cuts the connection once the server has answered, without the answer.
        case swallowAnswer
    }

    /// Leads here, without TLS.
    let configuration: PostgresConfiguration
    let port: UInt16
    private let state = Mutex(State())
    private let listener: CInt
    private let target: sockaddr_in

    /// - Parameter server: a server on 127.0.0.1.
    init(to server: PostgresConfiguration) throws {
        let serverPort =
            UInt16(server.description.split(separator: ":").last?.split(separator: "/").first ?? "") ?? 5432
        target = Self.address(port: serverPort)
        let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = Self.address(port: 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                precondition(bind(listener, pointer, length) == 0 && listen(listener, 64) == 0)
                getsockname(listener, pointer, &length)
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        configuration = server.withParameter("host", "127.0.0.1").withParameter("port", "\(port)")
            .withParameter("sslmode", "disable")
        Self.thread { [self] in accept() }
    }

    /// Takes bytes and passes none on, in both directions.
    var isSilent: Bool {
        get { state.withLock { $0.isSilent } }
        set { state.withLock { $0.isSilent = newValue } }
    }

    /// How many connections were accepted; a request to cancel is one.
    var accepted: Int { state.withLock { $0.accepted } }

    /// Whether an answer is being kept.
    var isHolding: Bool { state.withLock { $0.isHolding } }

    /// Passes on the answer that was kept, and all that come after it.
    func letGo() {
        state.withLock { $0.onWord = .pass }
    }

    /// Breaks the connections that are open.
    func cut() {
        let sockets = state.withLock { state in
            defer { state.sockets = [] }
            return state.sockets
        }
        for socket in sockets { shutdown(socket, CInt(SHUT_RDWR)) }
    }

    /// What happens when the client sends the word.
    func when(_ word: String, _ action: WordAction) {
        state.withLock { state in
            state.word = Array(word.utf8)
            state.onWord = action
        }
    }

    func stop() {
        let sockets = state.withLock { state in
            state.isStopped = true
            return state.sockets
        }
        shutdown(listener, CInt(SHUT_RDWR))
        for socket in sockets { shutdown(socket, CInt(SHUT_RDWR)) }
    }

    private func accept() {
        while true {
            let client = Glibc.accept(listener, nil, nil)
            if client < 0 || state.withLock({ $0.isStopped }) { break }
            state.withLock { $0.accepted += 1 }
            let server = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            let isConnected = withUnsafePointer(to: target) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                    connect(server, pointer, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            guard isConnected else {
                close(client)
                close(server)
                continue
            }
            state.withLock { $0.sockets += [client, server] }
            let hasHeard = Flag()
            Self.thread { [self] in pump(from: client, to: server, isClient: true, hasHeard) }
            Self.thread { [self] in pump(from: server, to: client, isClient: false, hasHeard) }
        }
        close(listener)
    }

    /// Whether the word was heard on a connection.
    private final class Flag: Sendable {
        let isSet = Atomic(false)
    }

    private func pump(from source: CInt, to sink: CInt, isClient: Bool, _ hasHeard: Flag) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(source, &buffer, buffer.count)
            guard count > 0 else { break }
            let (isSilent, word, action) = state.withLock { ($0.isSilent, $0.word, $0.onWord) }
            if isSilent { continue }
            if isClient, !word.isEmpty, contains(buffer[..<count], word) {
                hasHeard.isSet.store(true, ordering: .releasing)
            }
            if !isClient, hasHeard.isSet.load(ordering: .acquiring) {
                if action == .swallowAnswer { break }
                while state.withLock({ state in
                    state.isHolding = state.onWord == .holdAnswer && !state.isStopped
                    return state.isHolding
                }) { usleep(1_000) }
            }
            var sent = 0
            while sent < count {
                let written = buffer.withUnsafeBytes {
                    send(sink, $0.baseAddress! + sent, count - sent, CInt(MSG_NOSIGNAL))
                }
                guard written > 0 else { break }
                sent += written
            }
        }
        shutdown(source, CInt(SHUT_RDWR))
        shutdown(sink, CInt(SHUT_RDWR))
    }

    private func contains(_ bytes: ArraySlice<UInt8>, _ word: [UInt8]) -> Bool {
        bytes.indices.contains { bytes[$0...].starts(with: word) }
    }

    private static func address(port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }

    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private static func thread(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        // Balanced by takeRetainedValue in the thread.
        let context = Unmanaged.passRetained(Work(body)).toOpaque()
        pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body() }
                return nil
            }, context)
        pthread_detach(thread)
    }
}
