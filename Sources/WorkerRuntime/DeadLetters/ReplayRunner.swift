package import AMQP
import Domain
package import Logging
import Messaging
import Metrics
import Persistence
package import Postgres
import ServiceLifecycle

/// Carries replay campaigns out: sends their letters as the rules allow and takes note of what becomes of them.
///
/// Everything it knows is in the campaign's rows, so it can be killed at any point. Each campaign has one runner at a time,
/// by a lease that another process takes over once it has run out. A runner that was stalled beyond its lease does no
/// harm: what it sends has the ids and the epoch of the campaign, so the inbox and the fence take care of it.
package final class ReplayRunner: Service, Sendable {
    /// New letters in one step.
    static let batchSize = 500

    private let pool: PostgresPool
    private let publisher: Publisher
    private let holder: String
    private let consumers: [String]
    private let lease: Duration
    private let interval: Duration
    private let logger: Logger
    private let inFlight = Gauge(label: "replay.in_flight")
    private let waiting = Gauge(label: "replay.waiting")

    /// - Parameters:
    ///   - publisher: with the right to publish to every work queue through the default exchange, and to the exchanges
    ///     that unrouted letters were sent to.
    ///   - holder: names this process among all.
    ///   - consumers: every consumer that writes to the inbox.
    ///   - lease: how long another runner waits before it takes over from one that was killed.
    ///   - interval: between two looks when nothing moves.
    package init(
        pool: PostgresPool, publisher: Publisher, holder: String, consumers: [String], lease: Duration = .seconds(5),
        interval: Duration = .milliseconds(500), logger: Logger
    ) {
        self.pool = pool
        self.publisher = publisher
        self.holder = holder
        self.consumers = consumers
        self.lease = lease
        self.interval = interval
        self.logger = logger
    }

    /// Runs campaigns until graceful shutdown, then gives its leases back.
    package func run() async throws {
        await untilGracefulShutdown { [self] in
            var rates: [ReplayCampaignID: ReplayRate] = [:]
            var failures = 0
            while !Task.isCancelled {
                let start = ContinuousClock.now
                var hasProgressed = false
                do {
                    hasProgressed = try await turn(&rates)
                    failures = 0
                } catch {
                    failures += 1
                    logger.info("replay campaigns not run, trying again", metadata: [LogKey.errorDetail: "\(error)"])
                }
                let backoff = Backoff(base: .milliseconds(100), cap: .seconds(5))
                let pause =
                    failures > 0
                    ? backoff.delay(failures)
                    // Counting rows takes longer the more there are, so it gets half of the time at most.
                    : hasProgressed ? max(.milliseconds(20), ContinuousClock.now - start) : interval
                try? await Task.sleep(for: pause)
            }
        }
        // Unstructured, because a cancelled task could not ask the database any more.
        _ = try? await Task { try await ReplayCampaigns.releaseLeases(of: holder, on: pool) }.value
    }

    /// One step for each campaign that is ours.
    ///
    /// - Returns: whether anything has changed.
    private func turn(_ rates: inout [ReplayCampaignID: ReplayRate]) async throws -> Bool {
        let mine = try await ReplayCampaigns.takeLeases(for: lease, holder: holder, on: pool)
        rates = rates.filter { mine.contains($0.key) }
        var hasProgressed = false
        var totals = (waiting: 0, inFlight: 0)
        for id in mine {
            if Task.isCancelled { break }
            var rate = rates[id] ?? ReplayRate(now: .now)
            let (work, sent) = try await step(id, &rate)
            rates[id] = rate
            guard let work else { continue }
            hasProgressed = hasProgressed || work.hasProgressed || sent > 0
            totals.waiting += work.campaign.progress.waiting
            totals.inFlight += work.campaign.progress.inFlight
        }
        waiting.record(totals.waiting)
        inFlight.record(totals.inFlight)
        return hasProgressed
    }

    private func step(
        _ id: ReplayCampaignID, _ rate: inout ReplayRate
    ) async throws -> (work: ReplayCampaigns.Work?, sent: Int) {
        guard let campaign = try await ReplayCampaigns.find(id, on: pool) else { return (nil, 0) }
        // While the broker is away letters would only be taken to be put back.
        let isConnected = publisher.state.isConnected
        let limit = isConnected ? min(Self.batchSize, rate.allowance(campaign.rules.rate, now: .now)) : 0
        let step = try await ReplayCampaigns.step(id, holder: holder, limit: limit, consumers: consumers, on: pool)
        guard let work = step else { return (nil, 0) }
        guard isConnected else { return (work, 0) }
        if work.letters.isEmpty { return (work, 0) }
        rate.spend(work.letters.count)
        // Shielded: a step that is cut off between confirm and commit would send its letters again.
        let confirmed = try await Task { try await self.send(work) }.value
        return (work, confirmed)
    }

    /// - Returns: how many letters the broker has confirmed.
    private func send(_ work: ReplayCampaigns.Work) async throws -> Int {
        let campaign = work.campaign
        let results = await withTaskGroup(of: (DeadLetterID, ReplayCampaigns.Sending).self) { group in
            for (letter, number) in work.letters {
                group.addTask { [self] in (letter.id, await send(letter, number, campaign)) }
            }
            var results: [DeadLetterID: ReplayCampaigns.Sending] = [:]
            for await (id, result) in group { results[id] = result }
            return results
        }
        try await ReplayCampaigns.record(results, of: campaign.id, on: pool)
        let confirmed = results.values.count { $0 == .confirmed }
        Counter(label: "dead_letters.replayed").increment(by: confirmed)
        return confirmed
    }

    private func send(
        _ letter: DeadLetter, _ number: Int, _ campaign: ReplayCampaign
    ) async -> ReplayCampaigns.Sending {
        do {
            try await publisher.publish(
                letter.replay(number: number, stamp: campaign.stamp, to: campaign.rules.targetQueue))
            return .confirmed
        } catch let error as PublishError {
            logger.info(
                "a replayed letter was not confirmed",
                metadata: [
                    "replay.campaign": "\(campaign.id)", "dead_letter.id": "\(letter.id)",
                    LogKey.errorDetail: "\(error)",
                ])
            return switch error.kind {
            case .returned: .impossible("unroutable")
            case .invalid: .impossible("invalid")
            case .unavailable, .overloaded: .notSent
            case .unknown, .refused, .cancelled: .unknown
            }
        } catch {
            logger.warning(
                "a dead letter makes no message",
                metadata: ["dead_letter.id": "\(letter.id)", LogKey.errorDetail: "\(error)"])
            return .impossible("unreadable")
        }
    }
}
