import Foundation
package import Logging
import Persistence
package import Postgres
import ServiceLifecycle
import Synchronization

/// Knows which queues operators have stopped; one for each process.
///
/// It hears of a change by a notification, and looks every `interval` for what it may have missed. While PostgreSQL is
/// away the last known state holds: a stopped queue stays stopped, and others go on.
package final class PauseWatch: Service, Sendable {
    private struct State {
        var paused: Set<String> = []
        var observers: [@Sendable () -> Void] = []
    }

    private let pool: PostgresPool
    private let interval: Duration
    private let logger: Logger
    private let state = Mutex(State())
    private let mayHaveChanged = Signal()

    /// - Parameter interval: between two looks when nothing was heard.
    package init(pool: PostgresPool, interval: Duration = .seconds(5), logger: Logger) {
        self.pool = pool
        self.interval = interval
        self.logger = logger
    }

    /// The queues that are stopped, as far as is known.
    package var paused: Set<String> { state.withLock { $0.paused } }

    /// Calls `observer` after each change, from any task.
    func onChange(_ observer: @escaping @Sendable () -> Void) {
        state.withLock { $0.observers.append(observer) }
    }

    /// Looks once. A process does so before it takes anything, so that a restart does not undo a pause.
    ///
    /// - Throws: `PostgresError`; nothing has changed then.
    package func load() async throws {
        let now = Set(try await QueuePauses.all(on: pool).map(\.queue))
        let (observers, before) = state.withLock { state in
            let before = state.paused
            state.paused = now
            return (now == before ? [] : state.observers, before)
        }
        for queue in now.subtracting(before).sorted() {
            logger.notice("queue paused", metadata: [LogKey.queue: "\(queue)"])
        }
        for queue in before.subtracting(now).sorted() {
            logger.notice("queue resumed", metadata: [LogKey.queue: "\(queue)"])
        }
        for observer in observers { observer() }
    }

    /// Watches until graceful shutdown.
    package func run() async throws {
        await untilGracefulShutdown { [self] in
            await withTaskGroup(of: Void.self) { group in
                group.addTask { [self] in
                    // Its first element, and the one after a reconnect, say that something may have been missed.
                    for await _ in pool.notifications(on: QueuePauses.channel) { mayHaveChanged.notify() }
                }
                while !Task.isCancelled {
                    do {
                        try await load()
                    } catch {
                        logger.info("pauses not read, trying again", metadata: [LogKey.errorDetail: "\(error)"])
                    }
                    await mayHaveChanged.wait(upTo: interval)
                }
                group.cancelAll()
            }
        }
    }
}
