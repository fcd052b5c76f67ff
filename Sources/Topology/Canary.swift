package import AMQP

/// Proves that a deployed topology behaves: one marked message goes from an exchange to the work queue `canary`, to its
/// retry tier, back, and to its dead-letter queue, each hop timed.
///
/// It touches nothing but the canary's own three queues, so it may run against a broker in use. Run one at a time: two at
/// once take each other's message and report it as stray.
package struct Canary: Sendable {
    /// One step of the journey.
    package struct Hop: Sendable, Hashable {
        /// What was done.
        package let name: String
        /// What it took, waiting included.
        package let duration: Duration
        /// Nil when it went as it should; otherwise what went wrong.
        package let problem: String?
    }

    /// The journey, up to the first hop that failed.
    package struct Result: Sendable, Hashable, CustomStringConvertible {
        /// The steps, in order.
        package let hops: [Hop]
        /// Messages of earlier, broken-off runs that were found in the canary's queues and removed.
        package let strays: Int

        /// Whether every hop went as it should.
        package var isClean: Bool { hops.allSatisfy { $0.problem == nil } }

        package var description: String {
            let rows = hops.map { [$0.name, Self.milliseconds($0.duration), $0.problem ?? "ok"] }
            let note = strays == 0 ? "" : "\nremoved \(strays) messages that earlier runs had left"
            return Table(["hop", "time", "result"], rows).description + note
        }

        private static func milliseconds(_ duration: Duration) -> String {
            let (seconds, attoseconds) = duration.components
            return "\(seconds * 1_000 + attoseconds / 1_000_000_000_000_000) ms"
        }
    }

    private let connection: Connection
    private let queue: String
    private let exchange: String
    private let routingKey: String
    private let tier: RetryTier.Sibling
    private let tierExchange: String
    private let deadLetterQueue: String

    /// Prepares a run over the canary queue of a topology.
    /// - Parameter connection: of a user with the operator's rights; stays open.
    /// - Throws: `invalidDocument` if the topology has no work queue `canary` with a binding and a tier.
    package init(_ document: TopologyDocument, over connection: Connection) throws(TopologyError) {
        let queue = "canary"
        guard let entry = document.workQueues[queue],
            let binding = entry.bindings.min(by: { $0.key < $1.key }), let key = binding.value.first,
            let tier = document.retryTiers(of: queue).first?.siblings.first
        else {
            throw TopologyError(
                .invalidDocument, "the topology has no work queue \"canary\" with a binding and a retry tier")
        }
        self.connection = connection
        self.queue = queue
        exchange = binding.key
        routingKey = key
        self.tier = tier
        tierExchange = document.retry.exchange
        deadLetterQueue = TopologyDocument.deadLetterQueue(of: queue)
    }

    /// Runs the journey.
    /// - Parameters:
    ///   - tag: marks the message; unique.
    ///   - limit: for each hop, on top of the tier's own delay.
    package func run(tag: String, limit: Duration = .seconds(10)) async -> Result {
        var journey = Journey()
        do {
            try await journey.hop("\(exchange) → \(queue), confirmed") {
                try await publish(tag, exchange: exchange, routingKey: routingKey, headers: [:])
            }
            let first = try await journey.hop("arrives in \(queue)") { journey in
                try await take(tag, from: queue, within: limit, &journey)
            }
            // The way a worker retries: a confirmed publish to the tier, and only then the acknowledgement. The broker's
            // own x- headers do not travel on.
            try await journey.hop("retry → \(tier.queue), confirmed") {
                try await publish(tag, exchange: tierExchange, routingKey: tier.queue, headers: ["attempt": 2])
                try await connection.acknowledge(first)
            }
            let second = try await journey.hop("waits \(tier.delay), returns to \(queue)", atLeast: tier.delay * 0.9) {
                try await take(tag, from: queue, within: limit + tier.delay, &$0)
            }
            guard second.properties.headers["attempt"]?.integer == 2 else {
                throw Failure("it came back without the header it was sent with")
            }
            try await journey.hop("rejected by its consumer") {
                try await connection.reject(second, requeue: false)
            }
            let dead = try await journey.hop("dead → \(deadLetterQueue)") {
                try await take(tag, from: deadLetterQueue, within: limit, &$0)
            }
            try await journey.hop("acknowledged") { try await connection.acknowledge(dead) }
        } catch {
            journey.fail(error)
        }
        return Result(hops: journey.hops, strays: journey.strays)
    }

    private func publish(
        _ tag: String, exchange: String, routingKey: String, headers: FieldTable
    ) async throws {
        do {
            try await connection.publish(
                Publication(
                    exchange: exchange, routingKey: routingKey,
                    properties: BasicProperties(
                        contentType: "text/plain", headers: headers, isPersistent: true, messageID: tag,
                        type: "canary.probe", appID: "neff"),
                    body: Array(tag.utf8), isMandatory: true))
        } catch {
            throw Failure("\(error)")
        }
    }

    /// Fetches until the marked message is there. The canary's queues have no other reader, so a message with another mark
    /// is left from a run that broke off.
    private func take(
        _ tag: String, from queue: String, within limit: Duration, _ journey: inout Journey
    ) async throws -> Delivery {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline {
            guard let delivery = try await connection.get(queue) else {
                // No consumer: a fetch every few milliseconds costs nothing here and leaves no subscription behind.
                try await Task.sleep(for: .milliseconds(5))
                continue
            }
            if delivery.properties.messageID == tag { return delivery }
            try await connection.acknowledge(delivery)
            journey.strays += 1
        }
        throw Failure("it did not arrive in \(queue) within \(limit); look at the log of the broker and run verify")
    }

    private struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    private struct Journey {
        var hops: [Hop] = []
        var strays = 0
        private var current = ""
        private var start = ContinuousClock.now

        mutating func hop<Value>(
            _ name: String, atLeast minimum: Duration = .zero, _ body: (inout Journey) async throws -> Value
        ) async throws -> Value {
            (current, start) = (name, ContinuousClock.now)
            let value = try await body(&self)
            let duration = ContinuousClock.now - start
            guard duration >= minimum else { throw Failure("it came back early, after \(duration)") }
            hops.append(Hop(name: name, duration: duration, problem: nil))
            return value
        }

        mutating func hop(_ name: String, _ body: () async throws -> Void) async throws {
            try await hop(name) { _ in try await body() }
        }

        mutating func fail(_ error: any Error) {
            hops.append(Hop(name: current, duration: ContinuousClock.now - start, problem: "\(error)"))
        }
    }
}
