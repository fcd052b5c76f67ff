import CLinux
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
    private struct Call {
        /// When it must have ended; may be put off.
        var deadline: ContinuousClock.Instant
        /// How long it may make no progress.
        let patience: Duration
        /// Until when progress puts the deadline off; nil for calls that have to end in time.
        let end: ContinuousClock.Instant?
        /// What the peer had acknowledged at the last look.
        var acknowledged: UInt64?
    }

    /// The call that runs.
    private let call = Mutex<Call?>(nil)
    private let hasCut = Atomic<Bool>(false)
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
    ///
    /// - Parameter end: up to then a call may take longer, as long as the peer's TCP acknowledges more bytes at least once
    ///   in every `limit`: a large message on a narrow line is no hang.
    func watching<Result>(
        _ limit: Duration, whileProgressingUntil end: ContinuousClock.Instant? = nil, _ body: () -> Result
    ) -> Result {
        call.withLock { $0 = Call(deadline: .now + limit, patience: limit, end: end) }
        defer { call.withLock { $0 = nil } }
        return body()
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
        var entry = pollfd(fd: descriptor, events: wanted.events, revents: 0)
        return poll(&entry, 1, 0) > 0 ? Readiness(events: entry.revents) : []
    }

    /// Holds small segments back while many publishes are written, and lets them go at the end.
    ///
    /// It also sends a last body frame that exactly fills a frame, which the library marks as "more follows".
    func cork(_ isOn: Bool) {
        var value: CInt = isOn ? 1 : 0
        // A hint only: it fails harmlessly on a connection that is gone.
        _ = setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_CORK, &value, socklen_t(MemoryLayout<CInt>.size))
    }

    private func scheduleCheck() {
        Self.thread.schedule(after: interval) { [weak self] in
            guard let self else { return }
            check()
            scheduleCheck()
        }
    }

    private func check() {
        let now = ContinuousClock.now
        call.withLock { running in
            guard var call = running else { return }
            if let end = call.end {
                // The first look only takes the measure: what was acknowledged before the call is none of its progress.
                let acknowledged = clinux_bytes_acknowledged(descriptor)
                if let before = call.acknowledged, acknowledged > before {
                    call.deadline = max(call.deadline, min(now + call.patience, end))
                }
                call.acknowledged = acknowledged
                running = call
            }
            // With the lock held, so that it hits this call and not the next one.
            if now > call.deadline { cut() }
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
