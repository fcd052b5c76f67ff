import AMQP
import Foundation
import Logging
import Messaging
import Postgres
import ServiceLifecycle
import Telemetry
import UnixSignals
import WorkerRuntime

/// The worker loop alone: the shipped runtime around the smallest effect there is, one row beside the inbox row.
///
/// What the peers in `Benchmarks/peers` do, so that loops are compared and not the work in them. Settings are the
/// environment variables AMQP_URL, DATABASE_URL, QUEUE, LANES, PREFETCH and BATCH.
@main
struct PlainWorker {
    static func main() async throws {
        _ = Telemetry.bootstrap(logLevel: .warning)
        let logger = Logger(label: "plain-worker")
        let environment = ProcessInfo.processInfo.environment
        func number(_ name: String, or fallback: Int) -> Int { environment[name].flatMap { Int($0) } ?? fallback }

        let lanes = number("LANES", or: 8)
        let pool = PostgresPool(
            configuration: try PostgresConfiguration(
                url: environment["DATABASE_URL"] ?? "", applicationName: "plain-worker"),
            size: lanes + 2, logger: logger)
        let amqp = try AMQPConfiguration(url: environment["AMQP_URL"] ?? "", connectionName: "plain-worker")
        let publisher = Publisher(configuration: amqp, logger: logger)
        let consumer = Consumer(
            configuration: amqp,
            subscriptions: [
                Subscription(queue: environment["QUEUE"] ?? "sync", prefetch: UInt16(number("PREFETCH", or: 256)))
            ], logger: logger)
        let worker = Worker(
            WorkerConfiguration(
                role: "plain", id: "plain@\(getpid())", concurrency: lanes, batchSize: number("BATCH", or: 64)),
            handler: OneRow(), consumer: consumer, publisher: publisher, pool: pool, logger: logger)
        try await ServiceGroup(
            services: [pool, publisher, consumer, worker], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger
        ).run()
    }
}

/// The effect: one row.
private struct OneRow: MessageHandler {
    func handle(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome {
        try await context.transaction.enqueue(
            "insert into effects (message_id, type, body) values (\(envelope.id), \(envelope.type.rawValue), \(envelope.body))"
        )
        return .done
    }
}
