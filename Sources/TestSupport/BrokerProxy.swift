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
        /// Passes everything on in pieces of so many bytes, with a pause before each.
        case trickle(bytes: Int, pause: Duration)
    }

    /// One moment of the protocol and what is to happen to the connection that reaches it first.
    package struct Trap: Sendable {
        package enum Action: String, Sendable, CaseIterable {
            /// The method does not arrive, and the connection ends.
            case cutBefore = "cut before"
            /// The method is passed on, and the connection ends.
            case cutAfter = "cut after"
            /// The method is passed on, and from then on the network swallows everything in both directions.
            case swallowAfter = "silence after"
        }

        package let method: AMQPMethod
        package let action: Action

        package init(_ method: AMQPMethod, _ action: Action) {
            self.method = method
            self.action = action
        }
    }

    private struct State {
        var behaviour = Behaviour.pass
        var mustCut = false
        var mustOrphan = false
        var trap: Trap?
        var mustStop = false
        var accepted = 0
        var accepts = true
    }

    /// Where to connect to, on 127.0.0.1.
    package let port: Int
    private let listener: CInt
    private let wakeUp: (read: CInt, write: CInt)
    private let state = Mutex(State())
    private let targets: [sockaddr_in]

    /// Passes connections on to a port of 127.0.0.1.
    ///
    /// - Parameter port: where to listen; 0 takes a free one.
    package convenience init(to targetPort: Int, listeningOn port: UInt16 = 0) throws {
        try self.init(toAnyOf: [targetPort], listeningOn: port)
    }

    /// Passes connections on to the ports of 127.0.0.1 in turn; one that refuses is passed over.
    ///
    /// - Parameter port: where to listen; 0 takes a free one.
    package init(toAnyOf targetPorts: [Int], listeningOn port: UInt16 = 0) throws {
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
        targets = targetPorts.map { Self.loopback(UInt16($0)) }
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

    /// Ends the servers' halves of the open connections; the clients' halves stay open, and nobody tells them.
    package func orphan() {
        change { $0.mustOrphan = true }
    }

    /// What the next connection to reach that moment meets; nil again once it has.
    package var trap: Trap? {
        get { state.withLock { $0.trap } }
        set { change { $0.trap = newValue } }
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
        var scanner: AMQPFrameScanner
        /// Whether the network has swallowed this connection.
        var isLost = false
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
                defer {
                    state.mustCut = false
                    state.mustOrphan = false
                }
                return state
            }
            if now.mustCut || now.mustStop {
                for flow in flows { close(flow.source) }
                flows = []
            }
            if now.mustStop { break }
            if now.mustOrphan {
                for flow in flows where !flow.isFromClient && flow.source >= 0 { close(flow.source) }
                flows = flows.filter(\.isFromClient).map { flow in
                    var lost = Flow(source: flow.source, destination: -1, isFromClient: true, scanner: flow.scanner)
                    lost.isLost = true
                    return lost
                }
            }

            var entries = [
                pollfd(fd: wakeUp.read, events: Int16(POLLIN), revents: 0),
                pollfd(fd: listener, events: Int16(POLLIN), revents: 0),
            ]
            let isHolding = now.behaviour == .stall
            var timeout: CInt = -1
            for flow in flows {
                var reading: Int32 = isHolding || flow.buffered > 1 << 20 ? 0 : POLLIN
                if case .delay = now.behaviour { reading = POLLIN }
                if case .trickle = now.behaviour { reading = flow.buffered > 1 << 16 ? 0 : POLLIN }
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

            if entries[0].revents != 0 {
                // Something was changed meanwhile, and what came after the change must meet the new state.
                _ = read(wakeUp.read, &buffer, buffer.count)
                continue
            }
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
                    if now.behaviour == .blackHole || flows[index].isLost { continue }
                    if now.behaviour == .mute, !flows[index].isFromClient { continue }
                    let methods = flows[index].scanner.scan(buffer[0..<count])
                    let sprung = spring(on: methods, isFromClient: flows[index].isFromClient)
                    let end = sprung.map { $0.action == .cutBefore ? max($0.start, 0) : count } ?? count
                    if end > 0 { enqueue(buffer[0..<end], now.behaviour, &flows[index]) }
                    let isFirst = flows[index].chunks.first.map { $0.due <= .now } ?? false
                    if isFirst, !forward(&flows[index]) { broken.append(entry.fd) }
                    switch sprung?.action {
                    case .cutBefore, .cutAfter: broken.append(entry.fd)
                    case .swallowAfter:
                        let pair = (flows[index].source, flows[index].destination)
                        for other in flows.indices where flows[other].source == pair.0 || flows[other].source == pair.1
                        {
                            flows[other].isLost = true
                        }
                    case nil: break
                    }
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
        let turn = state.withLock { state in
            state.accepted += 1
            return state.accepted
        }
        let server = now.accepts ? connectToAnyTarget(from: turn) : nil
        guard let server else {
            close(client)
            return
        }
        for descriptor in [client, server] { Self.makeNonBlocking(descriptor) }
        flows.append(
            Flow(source: client, destination: server, isFromClient: true, scanner: AMQPFrameScanner(isFromClient: true))
        )
        flows.append(
            Flow(
                source: server, destination: client, isFromClient: false, scanner: AMQPFrameScanner(isFromClient: false)
            ))
    }

    private func connectToAnyTarget(from turn: Int) -> CInt? {
        for index in targets.indices {
            let server = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            var target = targets[(turn + index) % targets.count]
            let isConnected = withUnsafePointer(to: &target) { target in
                target.withMemoryRebound(to: sockaddr.self, capacity: 1) { target in
                    connect(server, target, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            if isConnected { return server }
            close(server)
        }
        return nil
    }

    /// Takes the trap away if one of these methods is its moment; gives what it does and where the method begins.
    private func spring(
        on methods: [AMQPFrameScanner.Found], isFromClient: Bool
    ) -> (action: Trap.Action, start: Int)? {
        guard !methods.isEmpty else { return nil }
        return state.withLock { state in
            guard let trap = state.trap, trap.method.isFromClient == isFromClient,
                let found = methods.first(where: {
                    $0.classID == trap.method.classID && $0.methodID == trap.method.methodID
                })
            else { return nil }
            state.trap = nil
            return (trap.action, found.start)
        }
    }

    private func enqueue(_ bytes: ArraySlice<UInt8>, _ behaviour: Behaviour, _ flow: inout Flow) {
        flow.buffered += bytes.count
        switch behaviour {
        case .trickle(let size, let pause):
            var due = max(flow.chunks.last?.due ?? .now, .now)
            var rest = bytes
            while !rest.isEmpty {
                due += pause
                flow.chunks.append(Chunk(bytes: rest.prefix(size), due: due))
                rest = rest.dropFirst(size)
            }
        case .delay(let delay): flow.chunks.append(Chunk(bytes: bytes, due: .now + delay))
        default: flow.chunks.append(Chunk(bytes: bytes, due: .now))
        }
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
