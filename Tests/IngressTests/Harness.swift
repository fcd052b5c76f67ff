import AMQP
import Domain
import Foundation
import Ingress
import Logging
import Messaging
import Metrics
import MetricsTestKit
import Persistence
import ServiceLifecycle
import Synchronization
import TestSupport
import Transport

/// An ingress on a port of its own, with fakes behind it.
final class Harness: Sendable {
    static let signingKey = "a-signing-key-for-tests"
    static let apiKeyText = "neff_testkeytestkeytestkeytestkeytestkey0"

    let broker = FakeBroker()
    let operations = FakeOperations()
    let schedule = FakeSchedule()
    let replays = NoReplayCampaigns()
    let letters = FakeLetters()
    let keys = FakeKeys()
    let clock = FakeClock()
    let metrics = TestMetrics()
    let client = HTTPClient(name: "tests", maxConnectionsPerHost: 64)
    let server: IngressServer
    private let boundPort = Mutex(0)

    var port: Int { boundPort.withLock { $0 } }
    var origin: String { "http://127.0.0.1:\(port)" }

    /// - Parameter configuration: by default a database that is away.
    init(
        _ configure: (inout IngressConfiguration) -> Void, probes: Probes,
        configuration: any ConfigurationStore = NoConfiguration()
    ) throws {
        var settings = IngressConfiguration(
            address: .init(port: 0), calendlySigningKeys: [Self.signingKey, "the-key-before"])
        settings.eventLoopThreads = 1
        settings.shutdownDeadline = .seconds(5)
        configure(&settings)
        server = try IngressServer(
            configuration: settings,
            dependencies: IngressDependencies(
                publish: { [broker] (message) async throws(PublishFailure) in try await broker.publish(message) },
                note: { [broker] in broker.note($0) }, isBrokerReady: { [broker] in broker.isReady },
                spool: { [operations] in try await operations.spool($0) }, operations: operations, reads: schedule,
                replays: replays,
                letters: letters, configuration: configuration, accounts: NoAccounts(),
                findApiKey: { [keys] in try await keys.find($0) }, probes: probes, now: { [clock] in clock.now }),
            metrics: metrics, logger: .silent)
    }

    func started(on port: Int) { boundPort.withLock { $0 = port } }

    /// Sends a request with a valid key unless `headers` say otherwise.
    func send(
        _ method: String, _ path: String, headers: [(String, String)] = [], body: String? = nil,
        key: String? = Harness.apiKeyText
    ) async throws -> HTTPResponse {
        var fields = HTTPHeaders()
        if let key { fields.append(name: "Authorization", value: "Bearer \(key)") }
        if body != nil, !headers.contains(where: { $0.0.lowercased() == "content-type" }) {
            fields.append(name: "Content-Type", value: "application/json")
        }
        for (name, value) in headers { fields.append(name: name, value: value) }
        var request = HTTPRequest(
            method: method, url: origin + path, headers: fields, body: body.map { Array($0.utf8) })
        request.timeout = .seconds(30)
        return try await client.send(request)
    }

    /// Sends a webhook, signed now unless told otherwise.
    func webhook(_ body: [UInt8], signature: String? = nil, headers: [(String, String)] = []) async throws
        -> HTTPResponse
    {
        let signature = signature ?? Signing.header(body, at: clock.now)
        var fields: HTTPHeaders = [
            "Content-Type": "application/json", "Calendly-Webhook-Signature": signature,
        ]
        for (name, value) in headers { fields.append(name: name, value: value) }
        return try await client.send(
            HTTPRequest(method: "POST", url: origin + "/webhooks/calendly", headers: fields, body: body))
    }
}

/// Runs an ingress for the body, and stops it gracefully afterwards.
func withIngress(
    _ configure: (inout IngressConfiguration) -> Void = { _ in }, probes: Probes = Probes(),
    configuration: any ConfigurationStore = NoConfiguration(),
    _ body: @escaping @Sendable (Harness) async throws -> Void
) async throws {
    let harness = try Harness(configure, probes: probes, configuration: configuration)
    let group = ServiceGroup(services: [harness.server], logger: .silent)
    try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await group.run() }
        harness.started(on: try await harness.server.port())
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(harness))
        } catch {
            result = .failure(error)
        }
        await harness.client.close()
        await group.triggerGracefulShutdown()
        try await tasks.waitForAll()
        try result.get()
    }
}

extension HTTPResponse {
    var text: String { String(decoding: body, as: UTF8.self) }

    var json: [String: Any] {
        get throws { try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] ?? [:] }
    }

    /// The last part of a problem's type; nil if this is no problem document.
    var problemType: String? {
        guard headers["Content-Type"] == "application/problem+json", let type = try? json["type"] as? String,
            type.hasPrefix("/problems/")
        else { return nil }
        return String(type.dropFirst("/problems/".count))
    }

    /// Pointers of a validation problem, sorted.
    var invalidFields: [String] {
        let errors = (try? json["errors"] as? [[String: Any]]) ?? []
        return errors.compactMap { $0["pointer"] as? String }.sorted()
    }
}
