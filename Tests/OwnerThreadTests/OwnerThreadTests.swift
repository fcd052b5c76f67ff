import Glibc
import OwnerThread
import Synchronization
import Testing

/// An actor that lives on an owner thread, as the clients over C libraries do.
private actor Resident {
    private let thread: OwnerThread
    private(set) var events: [Readiness] = []
    private(set) var threads: Set<UInt> = []

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(on thread: OwnerThread) {
        self.thread = thread
    }

    func visit() {
        threads.insert(UInt(pthread_self()))
    }

    func record(_ readiness: Readiness) {
        events.append(readiness)
    }

    isolated deinit {
        thread.stop()
    }
}

@Suite(.timeLimit(.minutes(1))) struct OwnerThreadTests {
    @Test func isolatedCodeRunsOnOneThreadThatIsNotTheCallers() async {
        let resident = Resident(on: OwnerThread(name: "test"))
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<100 { group.addTask { await resident.visit() } }
        }
        let threads = await resident.threads
        #expect(threads.count == 1)
    }

    @Test func aTaskThatPrefersTheThreadRunsThereBesideItsActors() async {
        let thread = OwnerThread(name: "test")
        let resident = Resident(on: thread)
        let tasks = OwnerThreadTasks(thread)
        let threads = await Task(executorPreference: tasks) {
            var threads: Set<UInt> = [UInt(pthread_self())]
            for _ in 0..<100 {
                await resident.visit()
                threads.insert(UInt(pthread_self()))
            }
            return threads
        }.value
        #expect(await resident.threads == threads)
        #expect(threads.count == 1)
        #expect(threads != [UInt(pthread_self())])
    }

    @Test func timersFireAlthoughTasksOfTheThreadNeverRest() async {
        let thread = OwnerThread(name: "test")
        let resident = Resident(on: thread)
        let hasFired = Atomic<Bool>(false)
        thread.schedule(after: .milliseconds(20)) { hasFired.store(true, ordering: .relaxed) }
        await Task(executorPreference: OwnerThreadTasks(thread)) {
            while !hasFired.load(ordering: .relaxed) { await resident.visit() }
        }.value
    }

    @Test func aTimerFiresOnceAndNotBeforeItsTime() async {
        let thread = OwnerThread(name: "test")
        defer { thread.stop() }
        let start = ContinuousClock.now
        await withCheckedContinuation { continuation in
            thread.schedule(after: .milliseconds(30)) { continuation.resume() }
        }
        #expect(ContinuousClock.now - start >= .milliseconds(30))
    }

    @Test func aCancelledTimerStaysSilent() async {
        let thread = OwnerThread(name: "test")
        defer { thread.stop() }
        let fired = Mutex(false)
        await withCheckedContinuation { continuation in
            let cancelled = thread.schedule(after: .milliseconds(20)) { fired.withLock { $0 = true } }
            thread.schedule(after: .milliseconds(60)) { continuation.resume() }
            thread.cancel(cancelled)
        }
        #expect(fired.withLock { $0 } == false)
    }

    @Test func aHandlerMayEnterItsActor() async {
        let thread = OwnerThread(name: "test")
        let resident = Resident(on: thread)
        var pipe: [CInt] = [0, 0]
        #expect(unsafe Glibc.pipe(&pipe) == 0)
        let (readEnd, writeEnd) = (pipe[0], pipe[1])
        defer {
            close(readEnd)
            close(writeEnd)
        }
        let (arrivals, arrival) = AsyncStream.makeStream(of: Void.self)
        let watch = thread.watch(readEnd, for: .readable) { readiness in
            resident.assumeIsolated { $0.record(readiness) }
            var byte: UInt8 = 0
            _ = unsafe read(readEnd, &byte, 1)
            arrival.finish()
        }
        var byte: UInt8 = 1
        _ = unsafe write(writeEnd, &byte, 1)
        for await _ in arrivals {}
        #expect(await resident.events == [.readable])
        // Before the descriptor is closed and its number is somebody else's.
        thread.unwatch(watch)
        thread.stop()
    }

    @Test func aTurnRunsAgainWhileItHasMore() async {
        let thread = OwnerThread(name: "test")
        defer { thread.stop() }
        let count = Mutex(0)
        await withCheckedContinuation { continuation in
            _ = thread.onEachTurn {
                let turn = count.withLock { count in
                    count += 1
                    return count
                }
                if turn == 5 { continuation.resume() }
                return turn < 5
            }
        }
        #expect(count.withLock { $0 } >= 5)
    }

    @Test func aJobAfterStopStillRuns() async {
        let thread = OwnerThread(name: "test")
        let resident = Resident(on: thread)
        await resident.visit()
        thread.stop()
        await resident.visit()
        #expect(await resident.threads.isEmpty == false)
    }

    /// A thread that was started would hold its executor for a moment.
    @Test func stoppingWhatNeverRanStartsNothing() {
        for _ in 0..<200 {
            var thread: OwnerThread? = OwnerThread(name: "test")
            weak let observed = thread
            thread?.stop()
            thread = nil
            #expect(observed == nil)
        }
    }

    /// The handler of a turn runs after the timers of its turn were looked at and before the thread decides to end.
    @Test func aTimerThatIsDueWhenAStoppedThreadEndsStillFires() async {
        let thread = OwnerThread(name: "test")
        thread.stop()
        let isFirst = Atomic<Bool>(true)
        await withCheckedContinuation { continuation in
            _ = thread.onEachTurn {
                if isFirst.exchange(false, ordering: .relaxed) {
                    thread.schedule(after: .zero) { continuation.resume() }
                }
                return false
            }
        }
        thread.stop()
    }

    /// Counts this process's threads before and after: a thread that outlived its executor would show.
    @Test func threadsEndWithTheirActors() async throws {
        func threadCount() throws -> Int {
            let directory = try #require(unsafe opendir("/proc/self/task"))
            defer { unsafe closedir(directory) }
            var count = 0
            while unsafe readdir(directory) != nil { count += 1 }
            return count
        }
        let before = try threadCount()
        for _ in 0..<200 { await Resident(on: OwnerThread(name: "test")).visit() }
        var after = try threadCount()
        for _ in 0..<100 where after > before + 20 {
            try await Task.sleep(for: .milliseconds(10))
            after = try threadCount()
        }
        #expect(after <= before + 20)
    }
}

/// A process ends while threads that used OpenSSL still do: nothing is taken from under them.
@Suite(.timeLimit(.minutes(1))) struct LibraryExitTests {
    private typealias Initialise = @convention(c) (UInt64, UnsafeRawPointer?) -> CInt
    private typealias OnCleanup = @convention(c) (@convention(c) () -> Void) -> CInt

    @Test func openSSLDoesNotCleanUpAtExit() async {
        await #expect(processExitsWith: .exitCode(3)) {
            let resident = Resident(on: OwnerThread(name: "test"))
            await resident.visit()
            // As the libraries do (2 loads the error texts): the first such call asks for a clean-up at exit.
            let initialise = try #require(unsafe dlsym(nil, "OPENSSL_init_crypto"))
            #expect(unsafe unsafeBitCast(initialise, to: Initialise.self)(2, nil) == 1)
            // OpenSSL calls this handler when it cleans up, and only then.
            let address = try #require(unsafe dlsym(nil, "OPENSSL_atexit"))
            let onCleanup = unsafe unsafeBitCast(address, to: OnCleanup.self)
            #expect(onCleanup { _exit(9) } == 1)
            exit(3)
        }
    }
}
