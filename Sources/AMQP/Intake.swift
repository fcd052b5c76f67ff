import OwnerThread
import Synchronization

/// A publish that somebody waits for.
final class Ticket: Sendable {
    let publication: Publication
    let started = ContinuousClock.now
    let outcome = OneShot<Result<Void, PublishError>>()

    init(_ publication: Publication) {
        self.publication = publication
    }
}

/// Where publishes from any task gather for the owner thread, bounded by the window.
///
/// Many tasks publish at once and one turn of the loop takes all they have brought: that, and not a hop per message, is
/// what makes publishing fast. Only the first publish after a turn wakes the thread.
final class Intake: Sendable {
    /// A publish that has its place in the window.
    struct Admitted: Sendable {
        let ticket: Ticket
        /// When it is given up on.
        let deadline: ContinuousClock.Instant
    }

    private struct State {
        var refusal: AMQPError? = AMQPError(.connectionLost, "not connected yet")
        /// Publishes that hold a place in the window.
        var live = 0
        var queue: [Admitted] = []
        var waiting = FIFO<Ticket>()
        /// Tickets in `waiting` whose callers have gone.
        var departed = 0
        var isWakePending = false
    }

    private let window: Int
    private let confirmTimeout: Duration
    private let thread: OwnerThread
    private let state = Mutex(State())

    init(window: Int, confirmTimeout: Duration, thread: OwnerThread) {
        self.window = window
        self.confirmTimeout = confirmTimeout
        self.thread = thread
    }

    /// Takes a publish in, lets it wait for room, or fails it at once.
    func admit(_ ticket: Ticket, whenFull: WhenFull) {
        enum Decision {
            case admitted(mustWake: Bool)
            case waits
            case fails(PublishError)
        }
        let decision = state.withLock { state -> Decision in
            if let refusal = state.refusal { return .fails(PublishError(.unavailable, underlying: refusal)) }
            if state.live < window, state.waiting.isEmpty {
                state.live += 1
                state.queue.append(Admitted(ticket: ticket, deadline: ticket.started + confirmTimeout))
                defer { state.isWakePending = true }
                return .admitted(mustWake: !state.isWakePending)
            }
            switch whenFull {
            case .fail: return .fails(PublishError(.overloaded))
            case .wait:
                state.waiting.append(ticket)
                return .waits
            }
        }
        switch decision {
        case .admitted(mustWake: true): thread.schedule(after: .zero) {}
        case .admitted(mustWake: false), .waits: break
        case .fails(let error): ticket.outcome.give(.failure(error))
        }
    }

    /// Notes that a caller has gone, so that those who left while waiting for room do not pile up.
    func depart() {
        state.withLock { state in
            guard !state.waiting.isEmpty else { return }
            state.departed += 1
            guard state.departed > 64, state.departed * 2 > state.waiting.count else { return }
            state.waiting.removeAll { $0.outcome.isGiven }
            state.departed = 0
        }
    }

    /// What has come since the last call; on the owner thread.
    func take() -> [Admitted] {
        state.withLock { state in
            state.isWakePending = false
            guard !state.queue.isEmpty else { return [] }
            let taken = state.queue
            state.queue = []
            return taken
        }
    }

    /// Frees places in the window, and gives them to those who wait.
    func release(_ count: Int) {
        guard count > 0 else { return }
        state.withLock { state in
            state.live -= count
            guard state.live < window, !state.waiting.isEmpty else { return }
            let deadline = ContinuousClock.now + confirmTimeout
            while state.live < window, let ticket = state.waiting.popFirst() {
                if ticket.outcome.isGiven { continue }
                state.live += 1
                state.queue.append(Admitted(ticket: ticket, deadline: deadline))
            }
            if state.waiting.isEmpty { state.departed = 0 }
        }
    }

    /// Publishes that hold a place in the window.
    var live: Int { state.withLock { $0.live } }

    /// Takes publishes again.
    func open() {
        state.withLock { $0.refusal = nil }
    }

    /// Fails every publish from now on, and those who wait for room.
    func close(_ cause: AMQPError) {
        let waiting = state.withLock { state in
            state.refusal = cause
            state.departed = 0
            return state.waiting.removeAll()
        }
        for ticket in waiting { ticket.outcome.give(.failure(PublishError(.unavailable, underlying: cause))) }
    }
}
