package import AMQP
import Foundation
package import Logging
import Messaging
import Metrics
import Persistence
package import Postgres
import ServiceLifecycle
import Traces

/// Publishes what the outbox holds, and forgets each message once the broker has confirmed it.
///
/// Right after a commit of this process it is woken; what other processes left it finds at its next sweep. Any number of
/// relays share the outbox: each locks what it has in hand and passes over the rest. A confirm that is lost, or a crash
/// between confirm and commit, publishes the message again under the same id, and the receiver's inbox drops it.
///
/// A message that no binding takes is kept by the alternate exchange, so the broker confirms it and it is done here: it
/// waits in the queue `unrouted`. One that comes back nevertheless (the topology is not applied), or that the broker
/// refuses, stays in the outbox and is put off for `setback`, so that it does not hold up the others.
package final class OutboxRelay: Service, Sendable {
    /// Messages in one sweep.
    static let batchSize = 200
    /// How long a message rests that the broker did not want.
    static let setback = Duration.seconds(15)

    private let pool: PostgresPool
    private let publisher: Publisher
    private let interval: Duration
    private let routes: LedgerRoutes?
    private let logger: Logger
    private let wakeUp = Signal()
    private let pending = Gauge(label: "outbox.pending")
    private let lag = Gauge(label: "outbox.lag")
    private let relayed = Counter(label: "outbox.relayed")

    /// - Parameters:
    ///   - interval: between two sweeps when nobody wakes it.
    ///   - routes: for the ledger, to which each message goes in the transaction that deletes it here; nil keeps no ledger.
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

    /// Asks for a sweep now; returns at once.
    package func wake() {
        wakeUp.notify()
    }

    /// Sweeps until graceful shutdown, and once more then; what is left is for the next process.
    package func run() async throws {
        await untilGracefulShutdown { [self] in
            var failures = 0
            var nextMeasure = ContinuousClock.now
            while !Task.isCancelled {
                failures = await sweepUntilEmpty() ? 0 : failures + 1
                if ContinuousClock.now >= nextMeasure {
                    nextMeasure = .now + .seconds(1)
                    await measure()
                }
                if failures == 0 {
                    await wakeUp.wait(upTo: interval)
                } else {
                    // Not woken meanwhile: whatever failed wants rest.
                    try? await Task.sleep(for: Backoff(base: .milliseconds(50), cap: .seconds(5)).delay(failures))
                }
            }
        }
        guard publisher.state.isConnected else { return }
        // Shielded like the others, and only one: under load there is always something more.
        _ = try? await Task { try await self.sweep() }.value
    }

    /// Sweeps as long as there is something; the smallest step that tests can take.
    ///
    /// - Returns: false if the broker or PostgreSQL did not do its part.
    @discardableResult
    package func sweepUntilEmpty() async -> Bool {
        do {
            while !Task.isCancelled {
                // Without a connection every publish would fail; the rows need not be locked for that.
                guard publisher.state.isConnected else { return false }
                // Shielded: a sweep that is cut off would publish again what has been confirmed.
                let (claimed, failed) = try await Task { try await self.sweep() }.value
                if failed > 0 { return false }
                if claimed < Self.batchSize { return true }
            }
            return true
        } catch {
            logger.info("outbox not swept, trying again", metadata: [LogKey.errorDetail: "\(error)"])
            return false
        }
    }

    private func sweep() async throws -> (claimed: Int, failed: Int) {
        try await pool.withTransaction { transaction in
            // A server that crashes may forget what was relayed a moment ago; it is published again then, and dropped by the
            // inboxes. So nobody has to wait for the disk.
            try await transaction.enqueue("set local synchronous_commit = off")
            let messages = try await Outbox.claim(limit: Self.batchSize, in: transaction)
            guard !messages.isEmpty else { return (0, 0) }
            var confirmed: [Int] = []
            var unwanted: [Int] = []
            for (id, error) in await publish(messages) {
                switch error?.kind {
                case nil: confirmed.append(id)
                case .returned?, .refused?, .invalid?: unwanted.append(id)
                case .unknown?, .unavailable?, .overloaded?, .cancelled?: break
                }
            }
            if let routes {
                let published = Set(confirmed)
                try await Ledger.append(
                    messages.filter { published.contains($0.id) }.map { $0.ledgerEntry(.outbox, routes) },
                    in: transaction)
            }
            try await Outbox.delete(confirmed, in: transaction)
            try await Outbox.postpone(unwanted, by: Self.setback, in: transaction)
            relayed.increment(by: confirmed.count)
            // What was put off is no reason to stop; what could not be sent is.
            return (messages.count, messages.count - confirmed.count - unwanted.count)
        }
    }

    private func publish(_ messages: [StoredMessage]) async -> [(Int, PublishError?)] {
        await withTaskGroup(of: (Int, PublishError?).self) { group in
            for message in messages {
                group.addTask { [publisher, logger] in
                    do throws(PublishError) {
                        try await publisher.relay(message, from: "outbox")
                        return (message.id, nil)
                    } catch {
                        logger.logRelayFailure(error, of: "outbox", message)
                        return (message.id, error)
                    }
                }
            }
            var results: [(Int, PublishError?)] = []
            for await result in group { results.append(result) }
            return results
        }
    }

    private func measure() async {
        guard let backlog = try? await Outbox.backlog(pool) else { return }
        pending.record(backlog.count)
        lag.record(backlog.lag)
    }
}

extension StoredMessage {
    func ledgerEntry(_ source: Ledger.Source, _ routes: LedgerRoutes) -> Ledger.Entry {
        Ledger.Entry(
            messageID: envelope.id, routingKey: routingKey, consumers: routes.consumers(exchange, routingKey),
            acceptedAt: envelope.timestamp, source: source)
    }
}

extension Publisher {
    /// Publishes a stored message, persistent and mandatory, within a span of the trace that stored it.
    ///
    /// - Returns: once the broker has confirmed it.
    func relay(_ message: StoredMessage, from store: String) async throws(PublishError) {
        let envelope = message.envelope
        let span = Span.begin(
            "relay \(message.exchange)", .producer, parent: envelope.trace,
            [
                "messaging.system": "rabbitmq", "messaging.operation.type": "send", "neff.store": .text(store),
                "messaging.destination.name": .text(message.exchange),
                "messaging.rabbitmq.destination.routing_key": .text(message.routingKey),
            ].merging(envelope.spanAttributes) { _, new in new })
        do throws(PublishError) {
            try await publish(
                Publication(
                    exchange: message.exchange, routingKey: message.routingKey,
                    properties: envelope.sent(by: span.context).properties, body: envelope.body))
            span.end()
        } catch {
            span.end(failure: "\(error)")
            throw error
        }
    }
}

extension Logger {
    /// Counts and logs a publish that was not confirmed; what an operator must mend is an error.
    func logRelayFailure(_ error: PublishError, of store: String, _ message: StoredMessage) {
        let kind: String
        var level = Logger.Level.info
        switch error.kind {
        case .returned: (kind, level) = ("returned", .error)
        case .refused: (kind, level) = ("refused", .error)
        case .invalid: (kind, level) = ("invalid", .error)
        case .unknown: kind = "unknown"
        case .unavailable: kind = "unavailable"
        case .overloaded: kind = "overloaded"
        case .cancelled: kind = "cancelled"
        }
        Counter(label: "\(store).failures", dimensions: [("kind", kind)]).increment()
        let hint = level == .error ? "; see that `neff topology verify` passes" : ""
        log(
            level: level, "a stored message was not confirmed",
            metadata: [
                "store": "\(store)", "row": "\(message.id)", LogKey.messageID: "\(message.envelope.id)",
                LogKey.correlationID: "\(message.envelope.correlationID)", LogKey.errorDetail: "\(error)\(hint)",
            ])
    }
}

/// Runs work until graceful shutdown, then cancels it and waits for its end.
func untilGracefulShutdown(_ work: @escaping @Sendable () async -> Void) async {
    await withTaskGroup(of: Void.self) { group in
        group.addTask(operation: work)
        group.addTask { try? await gracefulShutdown() }
        await group.next()
        group.cancelAll()
    }
}
