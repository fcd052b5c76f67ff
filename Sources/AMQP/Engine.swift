import Logging
import Metrics
import OwnerThread

/// What one kind of client does with its connection. Confined to the engine's thread.
protocol Role: AnyObject, SendableMetatype {
    /// Sets the channel up on a new connection.
    func opened(_ link: Link, epoch: UInt64) throws(AMQPError)
    /// Takes a frame.
    func received(_ incoming: Incoming, on link: Link) throws(AMQPError)
    /// Writes what has collected since the last turn. Answers true while it has more to do at once.
    func flush(_ link: Link) throws(AMQPError) -> Bool
    /// When `expire` wants to be called.
    var nextDeadline: ContinuousClock.Instant? { get }
    func expire(_ link: Link, now: ContinuousClock.Instant) throws(AMQPError)
    /// Whether to call `flush` as soon as the socket takes bytes again.
    var isWaitingToWrite: Bool { get }
    /// How the connection stands while it is open.
    var health: ConnectionState { get }
    /// The connection is gone; with it all that was under way.
    func lost(_ error: AMQPError)
    /// Takes nothing new from now on.
    func prepareToStop(_ link: Link?) throws(AMQPError)
    /// Whether nothing is under way any more.
    var isIdle: Bool { get }
    /// There will be no other connection.
    func finished(_ error: AMQPError)
}

/// Keeps one connection up on a thread of its own and runs its loop: read all there is, write all there is, wait.
actor Engine<R: Role> {
    private enum Phase {
        /// Becomes `running` or `finished`.
        case idle
        /// Becomes `stopping` or `finished`.
        case running
        /// Waits for what is under way. Becomes `finished`.
        case stopping(closeLimit: Duration)
        case finished
    }

    /// How many frames are handled before new work and timers get their turn.
    private static var framesPerTurn: Int { 512 }

    nonisolated let thread: OwnerThread
    nonisolated let state: StateBox
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let configuration: AMQPConfiguration
    let role: R
    private let logger: Logger
    private let reconnects: Counter

    private var phase = Phase.idle
    private var link: Link?
    private var epoch: UInt64 = 0
    private var failures = 0
    private var mayHaveInput = false
    private var isWatchingForRoom = false
    private var watch: OwnerThread.WatchID?
    private var turn: OwnerThread.TurnID?
    private var tick: OwnerThread.TimerID?
    private var deadline: (timer: OwnerThread.TimerID, instant: ContinuousClock.Instant)?
    private var enders: [CheckedContinuation<Void, Never>] = []

    init(configuration: AMQPConfiguration, role: sending R, state: StateBox, thread: OwnerThread, logger: Logger) {
        self.configuration = configuration
        self.role = role
        self.state = state
        self.thread = thread
        var logger = logger
        logger[metadataKey: LogKey.connection] = "\(configuration.connectionName)"
        self.logger = logger
        reconnects = Counter(label: "amqp.reconnects", dimensions: [("connection", configuration.connectionName)])
    }

    isolated deinit {
        thread.stop()
    }

    // MARK: Life

    /// Connects and keeps connected until told to stop. Returns at once if it has been stopped before.
    func run() async {
        if case .idle = phase {
            phase = .running
            connect()
        }
        await untilFinished()
    }

    /// Waits for the end; returns at once if nothing runs.
    func untilFinished() async {
        switch phase {
        case .idle, .finished: return
        case .running, .stopping: await withCheckedContinuation { enders.append($0) }
        }
    }

    /// Takes nothing new, finishes what is under way within `drain`, then closes politely within `close`.
    nonisolated func stop(drain: Duration, close: Duration) {
        thread.schedule(after: .zero) { [self] in
            assumeIsolated { $0.beginStop(drain: drain, close: close) }
        }
    }

    /// Ends at once, without a word to the broker.
    nonisolated func abort() {
        thread.schedule(after: .zero) { [self] in
            assumeIsolated { $0.finish(AMQPError(.closed, "cancelled")) }
        }
    }

    private func beginStop(drain: Duration, close: Duration) {
        switch phase {
        case .idle:
            finish(AMQPError(.closed, "closed"))
            return
        case .finished:
            return
        case .running:
            phase = .stopping(closeLimit: close)
            do throws(AMQPError) {
                try role.prepareToStop(link)
            } catch {
                lost(error)
                return
            }
        case .stopping(let earlier):
            phase = .stopping(closeLimit: min(earlier, close))
        }
        guard link != nil else {
            finish(AMQPError(.closed, "closed"))
            return
        }
        thread.schedule(after: drain) { [weak self] in
            self?.assumeIsolated { $0.conclude() }
        }
    }

    /// Says good-bye if the connection is there.
    private func conclude() {
        guard case .stopping(let limit) = phase, let link else { return }
        do throws(AMQPError) {
            _ = try role.flush(link)
            link.close(within: limit)
        } catch {
            logger.debug("close failed", metadata: [LogKey.error: "\(error)"])
        }
        finish(AMQPError(.closed, "closed"))
    }

    private func finish(_ error: AMQPError) {
        if case .finished = phase { return }
        phase = .finished
        state.finish(error)
        drop()
        role.lost(error)
        role.finished(error)
        for ender in enders { ender.resume() }
        enders.removeAll()
        thread.stop()
    }

    // MARK: Connecting

    private func connect() {
        guard case .running = phase else { return }
        do throws(AMQPError) {
            let link = try Link.open(configuration)
            self.link = link
            epoch += 1
            try role.opened(link, epoch: epoch)
            attach(link)
            failures = 0
            logger.info("connected", metadata: [LogKey.epoch: "\(epoch)"])
            state.set(role.health)
        } catch {
            lost(error)
        }
    }

    private func lost(_ error: AMQPError) {
        // Before anybody learns that his publish has failed: whoever then waits for the connection waits for the next one.
        state.set(.disconnected(lastError: error))
        drop()
        role.lost(error)
        guard case .running = phase else {
            finish(error)
            return
        }
        failures += 1
        let delay = configuration.backoff.delay(failures)
        logger.info("not connected", metadata: [LogKey.error: "\(error)", LogKey.retryIn: "\(delay)"])
        reconnects.increment()
        thread.schedule(after: delay) { [weak self] in
            self?.assumeIsolated { $0.connect() }
        }
    }

    private func attach(_ link: Link) {
        mayHaveInput = true
        isWatchingForRoom = false
        watch = thread.watch(link.socket.descriptor, for: .readable) { [weak self] readiness in
            self?.assumeIsolated { $0.noteReadiness(readiness) }
        }
        turn = thread.onEachTurn { [weak self] in
            self?.assumeIsolated { $0.takeTurn() } ?? false
        }
        scheduleTick(link)
    }

    /// Frees the connection, if there is one; the broker sees the socket close.
    private func drop() {
        // Before the descriptor is closed with the link.
        if let watch { thread.unwatch(watch) }
        if let turn { thread.removeTurn(turn) }
        if let tick { thread.cancel(tick) }
        if let deadline { thread.cancel(deadline.timer) }
        (watch, turn, tick, deadline) = (nil, nil, nil, nil)
        link = nil
    }

    // MARK: The loop

    private func noteReadiness(_ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.readable, .failed]) {
            mayHaveInput = true
            link?.noteInput()
        }
    }

    private func takeTurn() -> Bool {
        guard let link else { return false }
        do throws(AMQPError) {
            let hasMoreInput = try receive(link)
            let hasMoreOutput = try role.flush(link)
            if case .stopping = phase, role.isIdle {
                conclude()
                return false
            }
            state.set(role.health)
            watchForRoom(role.isWaitingToWrite)
            scheduleDeadline()
            return hasMoreInput || hasMoreOutput || link.hasBufferedInput
        } catch {
            lost(error)
            return false
        }
    }

    /// Handles what has come. True if there may be more.
    private func receive(_ link: Link) throws(AMQPError) -> Bool {
        guard mayHaveInput || link.hasBufferedInput else { return false }
        mayHaveInput = true
        for _ in 0..<Self.framesPerTurn {
            guard let incoming = try link.next() else {
                mayHaveInput = false
                return false
            }
            try role.received(incoming, on: link)
        }
        return true
    }

    private func watchForRoom(_ isWanted: Bool) {
        guard isWanted != isWatchingForRoom, let watch else { return }
        isWatchingForRoom = isWanted
        thread.update(watch, for: isWanted ? [.readable, .writable] : .readable)
    }

    /// Four times per heartbeat: sends ours when due, and looks whether the broker still sends its own.
    private func scheduleTick(_ link: Link) {
        tick = thread.schedule(after: link.heartbeat / 4) { [weak self] in
            self?.assumeIsolated { $0.takeTick() }
        }
    }

    private func takeTick() {
        guard let link else { return }
        do throws(AMQPError) {
            try link.checkSilence()
            mayHaveInput = true
            scheduleTick(link)
        } catch {
            lost(error)
        }
    }

    private func scheduleDeadline() {
        guard let next = role.nextDeadline else { return }
        if let deadline {
            if deadline.instant <= next { return }
            thread.cancel(deadline.timer)
        }
        let timer = thread.schedule(after: max(.zero, next - .now)) { [weak self] in
            self?.assumeIsolated { $0.takeDeadline() }
        }
        deadline = (timer, next)
    }

    private func takeDeadline() {
        deadline = nil
        guard let link else { return }
        do throws(AMQPError) {
            try role.expire(link, now: .now)
        } catch {
            lost(error)
        }
    }

    /// Runs requests on the connection between turns, then takes all that came before their answers.
    ///
    /// - Parameter body: gets nil while there is no connection.
    func perform(_ body: (R, Link?) throws(AMQPError) -> Void) throws(AMQPError) {
        do throws(AMQPError) {
            try body(role, link)
            if let link {
                mayHaveInput = true
                while try receive(link) {}
            }
        } catch {
            lost(error)
            throw error
        }
    }
}
