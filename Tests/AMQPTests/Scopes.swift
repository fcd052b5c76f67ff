import AMQP
import Logging
import Testing

/// A logger that keeps quiet, unless a test is being debugged.
let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Runs a publisher for the length of the body, then shuts it down by cancelling.
func withPublisher<Result>(
    _ configuration: AMQPConfiguration, window: Int = 1_000, confirmTimeout: Duration = .seconds(5),
    _ body: (Publisher) async throws -> Result
) async throws -> Result {
    let publisher = Publisher(
        configuration: configuration, window: window, confirmTimeout: confirmTimeout, logger: quiet)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await publisher.run() }
        try await publisher.waitUntilConnected(within: .seconds(20))
        let result = try await body(publisher)
        group.cancelAll()
        return result
    }
}

/// Runs a consumer for the length of the body, then closes it politely.
func withConsumer<Result>(
    _ configuration: AMQPConfiguration, _ subscriptions: [Subscription], isReady: Bool = true,
    _ body: (Consumer) async throws -> Result
) async throws -> Result {
    let consumer = Consumer(configuration: configuration, subscriptions: subscriptions, logger: quiet)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await consumer.run() }
        if isReady { try await consumer.waitUntilConnected(within: .seconds(20)) }
        do {
            let result = try await body(consumer)
            await consumer.close(within: .seconds(2))
            return result
        } catch {
            group.cancelAll()
            throw error
        }
    }
}

/// Opens a connection for the length of the body.
func withConnection<Result>(
    _ configuration: AMQPConfiguration, _ body: (Connection) async throws -> Result
) async throws -> Result {
    let connection = try await Connection.open(configuration, logger: quiet)
    do {
        let result = try await body(connection)
        await connection.close()
        return result
    } catch {
        await connection.close()
        throw error
    }
}

/// Waits until the condition holds; the test's time limit ends the wait if it never does.
func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(5)) }
}

/// What a publish ended with.
func outcome(_ publish: () async throws(PublishError) -> Void) async -> PublishError.Kind? {
    do {
        try await publish()
        return nil
    } catch {
        return error.kind
    }
}

let quorum: FieldTable = ["x-queue-type": "quorum"]
