import CLinux
import Glibc
import Synchronization

/// A serial executor that is one operating-system thread with a poll loop of its own.
///
/// An actor whose `unownedExecutor` is an owner thread runs every piece of its isolated code on that thread, so a C
/// library that wants one thread for each handle gets it, and a C call that blocks stalls that thread only, never
/// Swift's cooperative pool. The thread waits in `poll(2)` for its descriptors, its timers and new jobs at once.
///
/// Several actors may share a thread; they then take turns. Work for the actors comes in through Swift's own job queue,
/// in order. Handlers of descriptors, timers and turns run between jobs, on the thread, so an actor may enter itself
/// from one with `assumeIsolated`.
///
/// `stop()` ends the thread once its queue is empty. A job that arrives later still runs (the thread is started again
/// for it), because an actor's isolated `deinit` may be such a job; so does a timer that is due at once.
package final class OwnerThread: SerialExecutor {
    /// A descriptor's watch, from `watch` to `unwatch`.
    package struct WatchID: Hashable, Sendable { fileprivate let raw: UInt64 }
    /// A timer that has not fired yet.
    package struct TimerID: Hashable, Sendable { fileprivate let raw: UInt64 }
    /// A handler that runs before each wait.
    package struct TurnID: Hashable, Sendable { fileprivate let raw: UInt64 }

    private struct Watch {
        let descriptor: CInt
        var interest: Readiness
        let handler: @Sendable (Readiness) -> Void
    }

    private struct Timer {
        let deadline: ContinuousClock.Instant
        let handler: @Sendable () -> Void
    }

    /// A job of an actor, or of a task that prefers this thread.
    private struct Work {
        let job: UnownedJob
        let tasks: UnownedTaskExecutor?
    }

    private struct State {
        var jobs: [Work] = []
        var watches: [UInt64: Watch] = [:]
        var timers: [UInt64: Timer] = [:]
        var turns: [UInt64: @Sendable () -> Bool] = [:]
        var lastID: UInt64 = 0
        var isAsleep = false
        var isRunning = false
        var isStopping = false

        var hasDueTimer: Bool {
            guard !timers.isEmpty else { return false }
            let now = ContinuousClock.now
            return timers.values.contains { $0.deadline <= now }
        }

        mutating func makeID() -> UInt64 {
            lastID += 1
            return lastID
        }
    }

    private static let jobRoundsPerTurn = 16

    private let name: String
    private let state = Mutex(State())
    private let wakeUp: CInt
    private let threadID = Atomic<UInt>(0)

    /// Makes the executor; its thread starts with the first job.
    ///
    /// - Parameter name: shown by `ps -L` and debuggers; the kernel keeps the first 15 bytes.
    package init(name: String) {
        self.name = String(name.prefix(15))
        _ = LibraryExit.isQuiet
        wakeUp = clinux_eventfd()
        precondition(wakeUp >= 0, "no descriptor left for a thread's wake-up")
    }

    deinit {
        close(wakeUp)
    }

    // MARK: Executor

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        signal { state in state.jobs.append(Work(job: job, tasks: nil)) }
    }

    /// Takes a job of a task that prefers this thread; see `OwnerThreadTasks`.
    func enqueue(_ job: UnownedJob, on tasks: UnownedTaskExecutor) {
        signal { state in state.jobs.append(Work(job: job, tasks: tasks)) }
    }

    package func isIsolatingCurrentContext() -> Bool? {
        isCurrent
    }

    package func checkIsolated() {
        precondition(isCurrent, "this code must run on the owner thread \(name)")
    }

    /// Whether the caller runs on this thread.
    package var isCurrent: Bool {
        threadID.load(ordering: .acquiring) == UInt(pthread_self())
    }

    /// Ends the thread after the jobs and due timers that are queued now; safe to call from anywhere, and more than once.
    /// A thread that does not run is not started for it.
    package func stop() {
        signal(startsThread: false) { state in
            state.isStopping = true
            state.watches.removeAll()
            let now = ContinuousClock.now
            state.timers = state.timers.filter { $0.value.deadline <= now }
            state.turns.removeAll()
        }
    }

    // MARK: Descriptors, timers, turns

    /// Calls `handler` on the thread whenever the descriptor is ready (level-triggered, as `poll(2)`).
    ///
    /// Errors and hang-ups are reported whatever the interest is. Stop watching before the descriptor is closed.
    package func watch(
        _ descriptor: CInt, for interest: Readiness, handler: @escaping @Sendable (Readiness) -> Void
    ) -> WatchID {
        signal { state in
            let id = state.makeID()
            state.watches[id] = Watch(descriptor: descriptor, interest: interest, handler: handler)
            return WatchID(raw: id)
        }
    }

    /// Changes what a watch waits for; an empty interest still reports errors and hang-ups.
    package func update(_ id: WatchID, for interest: Readiness) {
        signal { state in state.watches[id.raw]?.interest = interest }
    }

    /// Ends a watch; its handler is not called again once this returns on the thread.
    package func unwatch(_ id: WatchID) {
        signal { state in state.watches[id.raw] = nil }
    }

    /// Calls `handler` on the thread once, after `delay` or a little later.
    @discardableResult
    package func schedule(after delay: Duration, handler: @escaping @Sendable () -> Void) -> TimerID {
        let deadline = ContinuousClock.now + delay
        return signal { state in
            let id = state.makeID()
            state.timers[id] = Timer(deadline: deadline, handler: handler)
            return TimerID(raw: id)
        }
    }

    /// Forgets a timer; nothing happens if it has fired.
    package func cancel(_ id: TimerID) {
        state.withLock { state in state.timers[id.raw] = nil }
    }

    /// Calls `handler` before every wait, to drain what a library has buffered and to flush what a turn has collected.
    ///
    /// - Parameter handler: answers true while it may have more to do at once; the thread then looks for new jobs and
    ///   ready descriptors without waiting and calls it again.
    package func onEachTurn(_ handler: @escaping @Sendable () -> Bool) -> TurnID {
        signal { state in
            let id = state.makeID()
            state.turns[id] = handler
            return TurnID(raw: id)
        }
    }

    /// Ends the calls to a turn handler.
    package func removeTurn(_ id: TurnID) {
        state.withLock { state in state.turns[id.raw] = nil }
    }

    // MARK: The loop

    /// Changes the state, starts the thread if it does not run, and wakes it if it sleeps.
    private func signal<Result: Sendable>(
        startsThread: Bool = true, _ change: (inout State) -> sending Result
    ) -> Result {
        let (result, mustStart, mustWake) = state.withLock { state in
            let result = change(&state)
            let mustStart = startsThread && !state.isRunning
            let mustWake = state.isAsleep
            if mustStart { state.isRunning = true }
            state.isAsleep = false
            return (result, mustStart, mustWake)
        }
        if mustStart {
            start()
        } else if mustWake {
            var one: UInt64 = 1
            // A full counter is a wake-up too, so the result does not matter.
            _ = unsafe write(wakeUp, &one, MemoryLayout<UInt64>.size)
        }
        return result
    }

    private func start() {
        var thread = pthread_t()
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        // Balanced by takeRetainedValue in the thread's first line.
        let context = unsafe Unmanaged.passRetained(self).toOpaque()
        let status = unsafe pthread_create(
            &thread, &attributes,
            { context in
                guard let context = unsafe context else { return nil }
                unsafe Unmanaged<OwnerThread>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context)
        precondition(status == 0, "no thread could be started: \(status)")
        unsafe pthread_attr_destroy(&attributes)
    }

    private func run() {
        // Signals are for the main thread, which turns them into a graceful stop.
        var all = sigset_t()
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(SIG_BLOCK, &all, nil)
        unsafe name.withCString { unsafe clinux_set_thread_name($0) }
        threadID.store(UInt(pthread_self()), ordering: .releasing)

        var descriptors: [pollfd] = []
        var watched: [UInt64] = []
        while true {
            // A task that calls an actor here and goes on here makes two jobs for each call, so jobs are looked for a few times
            // before the descriptors are, each of which costs a system call.
            for _ in 0..<Self.jobRoundsPerTurn where !runJobs() { break }

            fireTimers()
            let hasMore = takeTurns()

            // Sleep is announced under the same lock that `signal` takes, so no job can slip in unseen.
            descriptors.removeAll(keepingCapacity: true)
            watched.removeAll(keepingCapacity: true)
            let (timeout, isFinished) = state.withLock { state -> (CInt, Bool) in
                if state.isStopping, state.jobs.isEmpty, !state.hasDueTimer {
                    threadID.store(0, ordering: .releasing)
                    state.isRunning = false
                    return (0, true)
                }
                for (id, watch) in state.watches {
                    descriptors.append(pollfd(fd: watch.descriptor, events: watch.interest.events, revents: 0))
                    watched.append(id)
                }
                if hasMore || !state.jobs.isEmpty { return (0, false) }
                state.isAsleep = true
                return (Self.timeout(until: state.timers.values.lazy.map(\.deadline).min()), false)
            }
            if isFinished { return }
            descriptors.append(pollfd(fd: wakeUp, events: Int16(POLLIN), revents: 0))

            let ready = unsafe poll(&descriptors, nfds_t(descriptors.count), timeout)
            state.withLock { state in state.isAsleep = false }
            guard ready > 0 else { continue }
            if descriptors[descriptors.count - 1].revents != 0 {
                var count: UInt64 = 0
                _ = unsafe read(wakeUp, &count, MemoryLayout<UInt64>.size)
            }
            for (index, id) in watched.enumerated() where descriptors[index].revents != 0 {
                // Looked up again: an earlier handler of this turn may have ended this watch.
                guard let watch = state.withLock({ state in state.watches[id] }) else { continue }
                watch.handler(Readiness(events: descriptors[index].revents))
            }
        }
    }

    /// Runs the jobs that are there; false if there were none.
    private func runJobs() -> Bool {
        let jobs = state.withLock { state in
            let taken = state.jobs
            state.jobs = []
            return taken
        }
        for work in jobs {
            if let tasks = unsafe work.tasks {
                unsafe work.job.runSynchronously(on: tasks)
            } else {
                unsafe work.job.runSynchronously(on: asUnownedSerialExecutor())
            }
        }
        return !jobs.isEmpty
    }

    private func fireTimers() {
        let now = ContinuousClock.now
        let due = state.withLock { state in
            let due = state.timers.filter { $0.value.deadline <= now }.sorted { $0.value.deadline < $1.value.deadline }
            for (id, _) in due { state.timers[id] = nil }
            return due.map(\.value.handler)
        }
        for handler in due { handler() }
    }

    private func takeTurns() -> Bool {
        let turns = state.withLock { state in Array(state.turns.values) }
        var hasMore = false
        for turn in turns where turn() { hasMore = true }
        return hasMore
    }

    /// Milliseconds for `poll(2)`: rounded up so that a timer is never polled for before its time, -1 to wait for ever.
    private static func timeout(until deadline: ContinuousClock.Instant?) -> CInt {
        guard let deadline else { return -1 }
        let remaining = deadline - .now
        guard remaining > .zero else { return 0 }
        let (seconds, attoseconds) = remaining.components
        guard seconds < 3_600 else { return 3_600_000 }
        return CInt(seconds * 1_000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
