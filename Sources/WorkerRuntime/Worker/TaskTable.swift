import Synchronization

/// Tasks that are under way and can be cancelled together.
final class TaskTable: Sendable {
    private struct State {
        var lastID: UInt64 = 0
        var tasks: [UInt64: Task<Void, Never>] = [:]
        var isCancelled = false
    }

    private let state = Mutex(State())
    private let executor: (any TaskExecutor)?

    /// - Parameter executor: where the tasks run; nil is the cooperative pool.
    init(executor: (any TaskExecutor)? = nil) {
        self.executor = executor
    }

    /// Starts a task; cancelled from the beginning if the table has been.
    func start(_ work: @escaping @Sendable () async -> Void) {
        state.withLock { state in
            state.lastID += 1
            let id = state.lastID
            // It cannot forget itself before it is entered, because entering happens under the lock.
            let task = Task(executorPreference: executor) {
                await work()
                self.forget(id)
            }
            state.tasks[id] = task
            if state.isCancelled { task.cancel() }
        }
    }

    func cancelAll() {
        let tasks = state.withLock { state in
            state.isCancelled = true
            return Array(state.tasks.values)
        }
        for task in tasks { task.cancel() }
    }

    private func forget(_ id: UInt64) {
        state.withLock { $0.tasks[id] = nil }
    }
}

/// A claim that becomes true once.
final class Flag: Sendable {
    private let value = Atomic<Bool>(false)

    var isSet: Bool { value.load(ordering: .acquiring) }

    func set() { value.store(true, ordering: .releasing) }
}
