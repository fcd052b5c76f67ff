import AMQP
import TestSupport
import Testing

/// Needs `AMQPS_URL` (a broker whose certificate is for localhost and 127.0.0.1, and that listens on all of loopback) and
/// `NEFF_TLS_DIR` with `ca.pem`, `client.pem` and `client-key.pem`.
@Suite(.timeLimit(.minutes(1))) struct TLSTests {
    private func configuration(_ change: (inout AMQPConfiguration) -> Void = { _ in }) throws -> AMQPConfiguration {
        let directory = try BrokerManagement.environment("NEFF_TLS_DIR")
        var configuration = try AMQPConfiguration(
            url: BrokerManagement.environment("AMQPS_URL"), connectionName: "tls")
        configuration.tls = .init(
            caFile: "\(directory)/ca.pem", certificateFile: "\(directory)/client.pem",
            keyFile: "\(directory)/client-key.pem")
        change(&configuration)
        return configuration
    }

    private func code(_ change: (inout AMQPConfiguration) -> Void) async throws -> AMQPError.Code {
        let configuration = try configuration(change)
        let error = await #expect(throws: AMQPError.self) {
            try await Connection.open(configuration, logger: quiet).close()
        }
        return try #require(error).code
    }

    @Test(arguments: ["localhost", "127.0.0.1"]) func nameAndAddressOfTheCertificateAreAccepted(host: String)
        async throws
    {
        try await withConnection(try configuration { $0.host = host }) { connection in
            // Bodies of several TLS records, both ways.
            let queue = try await connection.declareQueue("", isExclusive: true).name
            let body = (0..<500_000).map { UInt8(truncatingIfNeeded: $0 &* 13) }
            try await connection.publish(Publication(exchange: "", routingKey: queue, body: body))
            #expect(try await connection.get(queue)?.body == body)
        }
    }

    @Test func otherNameIsRefused() async throws {
        // The same broker with the same certificate under an address that is not in it.
        #expect(try await code { $0.host = "127.0.0.2" } == .tlsNameMismatch)
    }

    @Test func unknownAuthorityIsRefused() async throws {
        #expect(try await code { $0.tls?.caFile = nil } == .tls)
    }

    @Test func unusableFilesAreNamed() async throws {
        #expect(try await code { $0.tls?.caFile = "/nowhere/ca.pem" } == .tls)
        let certificate = try configuration().tls?.certificateFile
        #expect(try await code { $0.tls?.keyFile = certificate } == .tls)
    }

    @Test func plainClientOnATLSPortIsTold() async throws {
        let plain = try configuration { $0.tls = nil }
        let error = await #expect(throws: AMQPError.self) {
            try await Connection.open(plain, logger: quiet).close()
        }
        #expect(error?.message.contains("TLS") == true)
    }

    @Test func publisherAndConsumerWorkOverTLS() async throws {
        let configuration = try configuration()
        try await withConnection(configuration) { connection in
            let queue = "tls-\(UInt64.random(in: 0 ... .max))"
            try await connection.declareQueue(queue, isDurable: false)
            try await withPublisher(configuration) { publisher in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for index in 0..<500 {
                        group.addTask {
                            try await publisher.publish(
                                Publication(
                                    exchange: "", routingKey: queue,
                                    body: Array(repeating: UInt8(index % 251), count: index * 40)))
                        }
                    }
                    try await group.waitForAll()
                }
            }
            try await withConsumer(configuration, [Subscription(queue: queue, prefetch: 50)]) { consumer in
                var count = 0
                while count < 500 {
                    for delivery in await consumer.nextBatch(upTo: 50) {
                        count += 1
                        #expect(delivery.body.allSatisfy { Int($0) == delivery.body.count / 40 % 251 })
                        consumer.acknowledge(delivery)
                    }
                }
            }
            #expect(try await connection.deleteQueue(queue) == 0)
        }
    }
}
