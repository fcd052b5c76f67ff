package import AMQP

/// Runs a test in a virtual host of its own, which is deleted afterwards with all its queues and connections.
///
/// Needs `AMQP_URL` (any virtual host) and `RABBITMQ_MANAGEMENT_URL`; without them it throws. The configuration reconnects
/// quickly, so that faults do not slow tests down.
package func withVirtualHost<Result>(
    _ body: (AMQPConfiguration) async throws -> Result
) async throws -> Result {
    let management = try BrokerManagement.fromEnvironment()
    var configuration = try AMQPConfiguration(
        url: BrokerManagement.environment("AMQP_URL"), connectionName: "test")
    configuration.virtualHost = "test-\(UInt64.random(in: 0 ... .max))"
    configuration.backoff = Backoff(base: .milliseconds(20), cap: .milliseconds(200))
    try await management.createVirtualHost(configuration.virtualHost, user: configuration.user)
    do {
        let result = try await body(configuration)
        try await management.deleteVirtualHost(configuration.virtualHost)
        return result
    } catch {
        // The first error counts; a virtual host that stays behind does no harm to other tests.
        try? await management.deleteVirtualHost(configuration.virtualHost)
        throw error
    }
}
