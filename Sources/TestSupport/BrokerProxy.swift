import Foundation
import Glibc
import Synchronization

/// A TCP proxy on loopback that can be told to misbehave; every test of a lost network uses one.
///
/// It runs on one thread until `stop()`. A change of behaviour holds for connections that are open, too.
package final class BrokerProxy: Sendable {
    package enum Behaviour: Sendable, Equatable {
        case pass
        /// Reads and throws away, in both directions: the network swallows everything, and nobody is told.
        case blackHole
        /// Passes on what the client says and throws the broker's answers away.
        case mute
        /// Reads nothing: buffers fill up until writers get stuck.
        case stall
        /// Passes everything on so much later.
        case delay(Duration)
    }

    private struct State {
        var behaviour = Behaviour.pass
        var mustCut = false
        var mustStop = false
        var accepted = 0
        var accepts = true
    }

    /// Where to connect to, on 127.0.0.1.
    package let port: Int
    private let listener: CInt
    private let wakeUp: (read: CInt, write: CInt)
    private let state = Mutex(State())
    private let target: sockaddr_in

    /// Passes connections on to a port of 127.0.0.1.
    ///
    /// - Parameter port: where to listen; 0 takes a free one.
    package init(to targetPort: Int, listeningOn port: UInt16 = 0) throws {
        listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = Self.loopback(port)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { [listener] address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, size) == 0 && listen(listener, 128) == 0
                    && getsockname(listener, address, &size) == 0
            }
        }
        guard isListening else { throw BrokerManagement.Failure(description: "the proxy cannot listen") }
        self.port = Int(UInt16(bigEndian: address.sin_port))
        target = Self.loopback(UInt16(targetPort))
        var ends: [CInt] = [0, 0]
        guard pipe(&ends) == 0 else { throw BrokerManagement.Failure(description: "no descriptor left for the proxy") }
        wakeUp = (ends[0], ends[1])
        for descriptor in [listener, ends[0], ends[1]] { Self.makeNonBlocking(descriptor) }
        let thread = Thread { [self] in run() }
        thread.name = "broker-proxy"
        thread.start()
    }

    package var behaviour: Behaviour {
        get { state.withLock { $0.behaviour } }
        set { change { $0.behaviour = newValue } }
    }

    /// Whether new connections are passed on; if not, they are closed at once.
    package var accepts: Bool {
        get { state.withLock { $0.accepts } }
        set { change { $0.accepts = newValue } }
    }

    /// How many connections were accepted so far.
    package var accepted: Int { state.withLock { $0.accepted } }

    /// Breaks the open connections.
    package func cut() {
        change { $0.mustCut = true }
    }

    /// Ends the proxy with all its connections.
    package func stop() {
        change { $0.mustStop = true }
    }

    private func change(_ change: (inout State) -> Void) {
        state.withLock { change(&$0) }
        var byte: UInt8 = 0
        _ = write(wakeUp.write, &byte, 1)
    }

    // MARK: The loop

    private struct Chunk {
        var bytes: ArraySlice<UInt8>
        let due: ContinuousClock.Instant
    }

    /// One direction of a connection.
    private struct Flow {
        let source: CInt
        let destination: CInt
        let isFromClient: Bool
        var chunks: [Chunk] = []
        var buffered = 0
    }

    private func run() {
        var flows: [Flow] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        func closePair(_ descriptor: CInt) {
            guard let flow = flows.first(where: { $0.source == descriptor || $0.destination == descriptor }) else {
                return
            }
            flows.removeAll { $0.source == flow.source || $0.source == flow.destination }
            close(flow.source)
            close(flow.destination)
        }
        while true {
            let now = state.withLock { state in
                defer { state.mustCut = false }
                return state
            }
            if now.mustCut || now.mustStop {
                for flow in flows { close(flow.source) }
                flows = []
            }
            if now.mustStop { break }

            var entries = [
                pollfd(fd: wakeUp.read, events: Int16(POLLIN), revents: 0),
                pollfd(fd: listener, events: Int16(POLLIN), revents: 0),
            ]
            let isHolding = now.behaviour == .stall
            var timeout: CInt = -1
            for flow in flows {
                var reading: Int32 = isHolding || flow.buffered > 1 << 20 ? 0 : POLLIN
                if case .delay = now.behaviour { reading = POLLIN }
                entries.append(pollfd(fd: flow.source, events: Int16(reading), revents: 0))
                if let due = flow.chunks.first?.due, !isHolding {
                    let wait = due - .now
                    if wait > .zero {
                        let milliseconds = CInt(wait / .milliseconds(1)) + 1
                        timeout = timeout < 0 ? milliseconds : min(timeout, milliseconds)
                    } else {
                        entries.append(pollfd(fd: flow.destination, events: Int16(POLLOUT), revents: 0))
                    }
                }
            }
            // Hang-ups are always reported; while stalled they would make this a busy loop.
            if isHolding { entries.removeLast(entries.count - 2) }
            guard poll(&entries, nfds_t(entries.count), timeout) >= 0 else { continue }

            if entries[0].revents != 0 { _ = read(wakeUp.read, &buffer, buffer.count) }
            if entries[1].revents != 0 { accept(now, &flows) }
            if isHolding { continue }
            var broken: [CInt] = []
            for entry in entries.dropFirst(2) where entry.revents != 0 {
                let events = Int32(entry.revents)
                if events & POLLOUT != 0, let index = flows.firstIndex(where: { $0.destination == entry.fd }) {
                    if !forward(&flows[index]) { broken.append(entry.fd) }
                }
                guard events & (POLLIN | POLLHUP | POLLERR) != 0,
                    let index = flows.firstIndex(where: { $0.source == entry.fd })
                else { continue }
                let count = recv(entry.fd, &buffer, buffer.count, 0)
                if count > 0 {
                    if now.behaviour == .blackHole { continue }
                    if now.behaviour == .mute, !flows[index].isFromClient { continue }
                    var due = ContinuousClock.now
                    if case .delay(let delay) = now.behaviour { due += delay }
                    flows[index].chunks.append(Chunk(bytes: buffer[0..<count], due: due))
                    flows[index].buffered += count
                    if flows[index].chunks.count == 1, due <= .now, !forward(&flows[index]) { broken.append(entry.fd) }
                } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
                    broken.append(entry.fd)
                }
            }
            for descriptor in broken { closePair(descriptor) }
        }
        close(listener)
        // The pipe stays open for late calls; it is closed with the object.
    }

    deinit {
        close(wakeUp.read)
        close(wakeUp.write)
    }

    private func accept(_ now: State, _ flows: inout [Flow]) {
        let client = Glibc.accept(listener, nil, nil)
        guard client >= 0 else { return }
        state.withLock { $0.accepted += 1 }
        let server = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var target = target
        let isConnected =
            now.accepts
            && withUnsafePointer(to: &target) { target in
                target.withMemoryRebound(to: sockaddr.self, capacity: 1) { target in
                    connect(server, target, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
        guard isConnected else {
            close(client)
            close(server)
            return
        }
        for descriptor in [client, server] { Self.makeNonBlocking(descriptor) }
        flows.append(Flow(source: client, destination: server, isFromClient: true))
        flows.append(Flow(source: server, destination: client, isFromClient: false))
    }

    /// Writes what is due; false if the connection is broken.
    private func forward(_ flow: inout Flow) -> Bool {
        while let chunk = flow.chunks.first, chunk.due <= .now {
            let sent = chunk.bytes.withUnsafeBytes {
                send(flow.destination, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            if sent < 0 { return errno == EAGAIN || errno == EINTR }
            flow.buffered -= sent
            if sent == chunk.bytes.count {
                flow.chunks.removeFirst()
            } else {
                flow.chunks[0].bytes = chunk.bytes.dropFirst(sent)
            }
        }
        return true
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private static func makeNonBlocking(_ descriptor: CInt) {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }
}

/// Runs a test behind a proxy in front of the broker.
package func withBrokerProxy<Result>(
    to port: Int, _ body: (BrokerProxy) async throws -> Result
) async throws -> Result {
    let proxy = try BrokerProxy(to: port)
    defer { proxy.stop() }
    return try await body(proxy)
}
