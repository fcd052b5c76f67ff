import AMQP
import Foundation
import Logging
import Messaging
import Postgres
import ServiceLifecycle
import UnixSignals
import WorkerRuntime

/// A worker process that one message kills, for tests of what becomes of the messages around it.
///
/// `PoisonedWorker VHOST DATABASE` consumes the queue `work` as role `work`, 50 at a time; AMQP_URL and DATABASE_URL name
/// the servers. A message whose body is `kill` ends the process with a trap; every other one is an effect.
@main
struct PoisonedWorker {
    static func main() async throws {
        let arguments = CommandLine.arguments
        let environment = ProcessInfo.processInfo.environment
        guard arguments.count == 3, let amqp = environment["AMQP_URL"], let database = environment["DATABASE_URL"]
        else {
            fatalError("usage: PoisonedWorker VHOST DATABASE, with AMQP_URL and DATABASE_URL")
        }
        let logger = Logger(label: "poisoned") { _ in SwiftLogNoOpLogHandler() }
        var broker = try AMQPConfiguration(url: amqp, connectionName: "poisoned")
        broker.virtualHost = arguments[1]
        let pool = PostgresPool(
            configuration: try PostgresConfiguration(url: database, applicationName: "poisoned")
                .withDatabase(arguments[2]), size: 6, logger: logger)
        let publisher = Publisher(configuration: broker, logger: logger)
        let consumer = Consumer(
            configuration: broker, subscriptions: [Subscription(queue: "work", prefetch: 50)],
            drainTimeout: .seconds(1), logger: logger)
        let configuration = WorkerConfiguration(
            role: "work", id: "poisoned:\(getpid())", concurrency: 4, batchSize: 16,
            retryPolicy: RetryPolicy(tiers: [RetryTier(name: "50ms", delay: .milliseconds(50))]))
        let worker = Worker(
            configuration, handler: Mortal(), consumer: consumer, publisher: publisher, pool: pool, logger: logger)
        try await ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [publisher, consumer, worker], gracefulShutdownSignals: [.sigterm], logger: logger)
        ).run()
        await pool.shutDown()
    }
}

private struct Mortal: MessageHandler {
    func handle(_ envelope: Envelope, in context: HandlerContext) async throws -> Outcome {
        if envelope.body == Array("kill".utf8) { fatalError("killed by \(envelope.id)") }
        _ = try await context.transaction.query("insert into effects (message_id) values (\(envelope.id))")
        return .done
    }
}
