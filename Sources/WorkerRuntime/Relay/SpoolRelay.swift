package import AMQP
package import Logging
import Messaging
import Metrics
import Persistence
package import Postgres
import ServiceLifecycle

/// Publishes what the ingress spooled while the broker was away, strictly in the order in which it was accepted.
///
/// Only one relay of all processes drains at a time: it holds an advisory lock for the length of a batch. It publishes
/// one message after another and stops at the first that is not confirmed, so a later message never overtakes an earlier
/// one. After a crash the messages of one batch may be published again, under the same ids.
package final class SpoolRelay: Service, Sendable {
    /// Messages in one transaction.
    static let batchSize = 100

    private let pool: PostgresPool
    private let publisher: Publisher
    private let interval: Duration
    private let routes: LedgerRoutes?
    private let logger: Logger
    private let wakeUp = Signal()
    private let pending = Gauge(label: "spool.pending")
    private let lag = Gauge(label: "spool.lag")
    private let relayed = Counter(label: "spool.relayed")

    /// What one look at the spool came to.
    enum Drain: Sendable {
        /// Another relay is at it.
        case locked
        case empty
        /// There may be more.
        case progressed
        /// The oldest message could not be published.
        case stuck
    }

    /// - Parameter interval: between two looks at the spool when nobody wakes it.
    package init(
        pool: PostgresPool, publisher: Publisher, interval: Duration = .seconds(1), routes: LedgerRoutes? = nil,
        logger: Logger
    ) {
        self.pool = pool
        self.publisher = publisher
        self.interval = interval
        self.routes = routes
        self.logger = logger
    }

    /// Asks for a look at the spool now; returns at once.
    package func wake() {
        wakeUp.notify()
    }

    /// Drains whenever there is something, until graceful shutdown.
    package func run() async throws {
        await untilGracefulShutdown { [self] in
            var failures = 0
            while !Task.isCancelled {
                failures = await drainUntilEmpty() ? 0 : failures + 1
                await measure()
                if failures == 0 {
                    await wakeUp.wait(upTo: interval)
                } else {
                    try? await Task.sleep(for: Backoff(base: .milliseconds(50), cap: .seconds(5)).delay(failures))
                }
            }
        }
    }

    /// Drains as long as there is something.
    ///
    /// - Returns: false if the broker or PostgreSQL did not do its part.
    @discardableResult
    package func drainUntilEmpty() async -> Bool {
        do {
            while !Task.isCancelled {
                guard publisher.state.isConnected else { return false }
                // Shielded: a drain that is cut off would publish again what has been confirmed.
                switch try await Task(operation: { try await self.drain() }).value {
                case .progressed: continue
                case .empty, .locked: return true
                case .stuck: return false
                }
            }
            return true
        } catch {
            logger.info("spool not drained, trying again", metadata: [LogKey.errorDetail: "\(error)"])
            return false
        }
    }

    private func drain() async throws -> Drain {
        try await pool.withTransaction { transaction in
            // As for the outbox: what a crash of the server undoes is published again, and dropped by the inboxes.
            try await transaction.enqueue("set local synchronous_commit = off")
            guard try await Spool.lock(in: transaction) else { return .locked }
            let messages = try await Spool.oldest(limit: Self.batchSize, in: transaction)
            guard !messages.isEmpty else { return .empty }
            var confirmed: [Int] = []
            for message in messages {
                do throws(PublishError) {
                    try await publisher.relay(message, from: "spool")
                    confirmed.append(message.id)
                } catch {
                    logger.logRelayFailure(error, of: "spool", message)
                    break
                }
            }
            if let routes {
                try await Ledger.append(
                    messages.prefix(confirmed.count).map { $0.ledgerEntry(.spool, routes) }, in: transaction)
            }
            try await Spool.delete(confirmed, in: transaction)
            relayed.increment(by: confirmed.count)
            return confirmed.count == messages.count ? .progressed : .stuck
        }
    }

    private func measure() async {
        guard let backlog = try? await Spool.backlog(pool) else { return }
        pending.record(backlog.count)
        lag.record(backlog.lag)
    }
}
