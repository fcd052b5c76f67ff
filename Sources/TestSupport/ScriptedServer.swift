import Glibc
import Synchronization

/// A loopback TCP server for tests: each connection is given to a function, on a thread of its own.
package final class ScriptedServer: Sendable {
    /// The server could not be set up.
    package struct Failure: Error {
        /// The call that failed and its errno.
        package let reason: String
    }

    private struct State {
        var connections: [ScriptedConnection] = []
        var isStopped = false
    }

    /// The port on 127.0.0.1.
    package let port: Int
    private let listener: CInt
    private let state = Mutex(State())

    /// Listens on a free port. Connections are numbered from 0 in the order they come.
    package init(serve: @escaping @Sendable (ScriptedConnection) -> Void) throws(Failure) {
        (listener, port) = try Self.listen()
        // The thread keeps the server until `stop`.
        Self.startThread { [self] in
            while let connection = accept() {
                Self.startThread {
                    serve(connection)
                    connection.close()
                }
            }
            Glibc.close(listener)
        }
    }

    /// A port that nothing listens on.
    package static func closedPort() throws(Failure) -> Int {
        let (descriptor, port) = try listen()
        Glibc.close(descriptor)
        return port
    }

    /// How many connections came.
    package var connectionCount: Int { state.withLock { $0.connections.count } }

    /// How many connections are open on this side.
    package var openConnectionCount: Int { state.withLock { $0.connections.count { $0.isOpen } } }

    /// Stops listening and cuts every connection.
    package func stop() {
        let connections = state.withLock { state in
            state.isStopped = true
            return state.connections
        }
        shutdown(listener, Int32(SHUT_RDWR))
        for connection in connections { connection.cut() }
    }

    private static func listen() throws(Failure) -> (descriptor: CInt, port: Int) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(reason: "socket: \(errno)") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                var status = bind(descriptor, address, length)
                if status == 0 { status = Glibc.listen(descriptor, 128) }
                return status == 0 ? getsockname(descriptor, address, &length) : status
            }
        }
        guard status == 0 else {
            let number = errno
            Glibc.close(descriptor)
            throw Failure(reason: "bind or listen: \(number)")
        }
        return (descriptor, Int(in_port_t(bigEndian: address.sin_port)))
    }

    private func accept() -> ScriptedConnection? {
        let descriptor = Glibc.accept(listener, nil, nil)
        guard descriptor >= 0 else { return nil }
        return state.withLock { state in
            guard !state.isStopped else {
                Glibc.close(descriptor)
                return nil
            }
            let connection = ScriptedConnection(descriptor: descriptor, number: state.connections.count)
            state.connections.append(connection)
            return connection
        }
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private static func startThread(_ run: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        // Balanced by takeRetainedValue in the thread.
        let context = Unmanaged.passRetained(Body(run)).toOpaque()
        let status = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context)
        precondition(status == 0, "no thread could be started: \(status)")
        pthread_detach(thread)
    }
}
