import Glibc
import OwnerThread
import Synchronization

/// Our own duplicate of a connection's socket, and the watchdog that cuts it when a call of the library hangs.
///
/// Why a duplicate: the library closes its descriptor inside calls (on a heartbeat or request timeout), after which the
/// kernel may hand the same number to somebody else. The duplicate stays ours until we are done, so it is the one that
/// is polled and the one that is cut; shutting it down affects the connection, whichever descriptor it is done through.
///
/// Why a watchdog: librabbitmq 0.11 waits without limit for room in the socket and, worse, for any input once the
/// receive heartbeat is overdue. A watching thread that shuts the socket down makes every such wait end with an error.
final class SocketGuard: Sendable {
    let descriptor: CInt
    /// When the running call must have ended: nanoseconds of the continuous clock since `origin`; 0 if none runs.
    private let deadline = Atomic<UInt64>(0)
    private let hasCut = Atomic<Bool>(false)
    private let origin = ContinuousClock.now
    private let interval: Duration

    /// Takes the descriptor's duplicate; nil if there is no descriptor left.
    ///
    /// - Parameter interval: how often a running call is looked at; it is cut at most so long after its limit.
    init?(duplicating socket: CInt, checkedEach interval: Duration) {
        // F_DUPFD_CLOEXEC: a child process must not keep the connection open.
        descriptor = fcntl(socket, F_DUPFD_CLOEXEC, 0)
        self.interval = interval
        // First, because the deinitializer, which runs after a nil as well, releases it.
        Self.thread.retain()
        guard descriptor >= 0 else { return nil }
        scheduleCheck()
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        Self.thread.release()
    }

    /// Runs a call of the library that must not take longer than `limit`.
    func watching<Result>(_ limit: Duration, _ call: () -> Result) -> Result {
        deadline.store(nanoseconds(.now + limit), ordering: .releasing)
        defer { deadline.store(0, ordering: .releasing) }
        return call()
    }

    /// Whether the watchdog cut the connection.
    var isCut: Bool { hasCut.load(ordering: .acquiring) }

    /// Ends the connection for both sides; calls that wait on it return.
    func cut() {
        hasCut.store(true, ordering: .releasing)
        shutdown(descriptor, CInt(SHUT_RDWR))
    }

    /// What can be done with the socket now.
    func readiness(_ wanted: Readiness) -> Readiness {
        var events: Int32 = 0
        if wanted.contains(.readable) { events |= POLLIN }
        if wanted.contains(.writable) { events |= POLLOUT }
        var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        guard poll(&entry, 1, 0) > 0 else { return [] }
        let found = Int32(entry.revents)
        var ready: Readiness = []
        if found & POLLIN != 0 { ready.insert(.readable) }
        if found & POLLOUT != 0 { ready.insert(.writable) }
        if found & (POLLERR | POLLHUP | POLLNVAL) != 0 { ready.insert(.failed) }
        return ready
    }

    /// Holds small segments back while many publishes are written, and lets them go at the end.
    ///
    /// It also sends a last body frame that exactly fills a frame, which the library marks as "more follows".
    func cork(_ isOn: Bool) {
        var value: CInt = isOn ? 1 : 0
        // A hint only: it fails harmlessly on a connection that is gone.
        _ = setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_CORK, &value, socklen_t(MemoryLayout<CInt>.size))
    }

    private func nanoseconds(_ instant: ContinuousClock.Instant) -> UInt64 {
        let (seconds, attoseconds) = (instant - origin).components
        return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }

    private func scheduleCheck() {
        Self.thread.schedule(after: interval) { [weak self] in
            guard let self else { return }
            let limit = deadline.load(ordering: .acquiring)
            if limit != 0, nanoseconds(.now) > limit { cut() }
            scheduleCheck()
        }
    }

    /// One thread watches all connections of the process while there are any.
    private static let thread = SharedThread(name: "amqp-watchdog")
}

/// An owner thread that exists while somebody needs it.
private final class SharedThread: Sendable {
    private struct State {
        var thread: OwnerThread?
        var users = 0
    }

    private let name: String
    private let state = Mutex(State())

    init(name: String) { self.name = name }

    func retain() {
        state.withLock { state in
            state.users += 1
            if state.thread == nil { state.thread = OwnerThread(name: name) }
        }
    }

    func release() {
        let unused = state.withLock { state -> OwnerThread? in
            state.users -= 1
            guard state.users == 0 else { return nil }
            return state.thread.take()
        }
        unused?.stop()
    }

    func schedule(after delay: Duration, _ handler: @escaping @Sendable () -> Void) {
        let thread = state.withLock { $0.thread }
        thread?.schedule(after: delay, handler: handler)
    }
}
