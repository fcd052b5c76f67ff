import AMQP
import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import ServiceLifecycle
import TestSupport
import Testing
import WorkerRuntime

extension Rig {
    /// Rules without any patience.
    static let atOnce = ReplayRules(canary: 0, ramp: [], rate: nil, maxInFlight: 500, abortAbove: 1)

    /// A runner with its own connections for the time of the body.
    func withRunner<Result: Sendable>(
        _ name: String = "runner", broker: AMQPConfiguration? = nil, _ body: () async throws -> Result
    ) async throws -> Result {
        let publisher = Publisher(configuration: broker ?? self.broker, logger: .silent)
        let runner = ReplayRunner(
            pool: pool, publisher: publisher, holder: name, consumers: ["work"], lease: .seconds(1),
            interval: .milliseconds(20), logger: .silent)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: [publisher, runner], logger: .silent))
        let run = Task { try await group.run() }
        try await publisher.waitUntilConnected(within: .seconds(20))
        let result = try await body()
        await group.triggerGracefulShutdown()
        try await run.value
        return result
    }

    /// Letters that died in the work queue, as the journal would have written them.
    func bury(_ ids: [String], queue: String = Rig.queue) async throws {
        let letters = ids.map { id in
            DeadLetter(
                Delivery(
                    queue: queue + ".dead", consumerTag: "", deliveryTag: 1, epoch: 1, isRedelivered: false,
                    exchange: "dead", routingKey: queue, properties: Rig.message(id).properties,
                    body: Array(#"{"id":"\#(id)"}"#.utf8)), id: .make(), now: Date())
        }
        for start in stride(from: 0, to: letters.count, by: 500) {
            try await DeadLetters.insert(Array(letters[start..<min(start + 500, letters.count)]), on: pool)
        }
    }

    static func ids(_ count: Int) -> [String] { (0..<count).map { "m\(1_000_000 + $0)" } }

    /// Makes a campaign of every letter that is dead.
    func campaign(
        _ rules: ReplayRules = Rig.atOnce, _ selection: ReplaySelection = .matching(DeadLetters.Filter())
    ) async throws -> ReplayCampaignID {
        let order = ReplayCampaigns.Order(
            selection: selection, selectionJSON: "{}", rules: rules, actor: "ops", reason: "test")
        guard case .created(let campaign) = try await ReplayCampaigns.create(order, on: pool) else {
            throw Unexpected(what: "no campaign was made")
        }
        return campaign.id
    }

    @discardableResult
    func act(_ act: ReplayAct, _ id: ReplayCampaignID) async throws -> ReplayCampaign {
        let result = try await ReplayCampaigns.perform(act, on: id, by: "ops", consumers: ["work"], pool: pool)
        guard case .done(let campaign) = result else { throw Unexpected(what: "\(act): \(result)") }
        return campaign
    }

    func find(_ id: ReplayCampaignID) async throws -> ReplayCampaign {
        try #require(try await ReplayCampaigns.find(id, on: pool))
    }

    func settled(_ id: ReplayCampaignID) async throws -> ReplayCampaign {
        try await eventually { try await find(id).settledAt != nil }
        return try await find(id)
    }

    func messages(_ id: ReplayCampaignID, _ states: ReplayLetter.State...) async throws -> Set<String> {
        var all: [ReplayLetter] = []
        while true {
            let page = try await ReplayCampaigns.letters(
                of: id, states: Set(states), after: all.last?.id, limit: 1_000, on: pool)
            all += page
            if page.count < 1_000 { return Set(all.map(\.messageID)) }
        }
    }

    /// Messages of the letters with a status.
    func letters(_ status: DeadLetter.Status) async throws -> Set<String> {
        let rows = try await pool.query("select message_id from dead_letters where status = \(status.rawValue)")
        return Set(try rows.map { try $0.decode("message_id", as: String.self) })
    }

    struct Unexpected: Error {
        let what: String
    }
}
