import Testing
import WorkerRuntime

@Suite struct SettlementTests {
    static let policy = RetryPolicy()
    static let failure = Failure(code: "db.40001", detail: "serialization failure")
    static func tier(_ name: String) -> RetryTier { policy.tiers.first { $0.name == name }! }

    struct Row: CustomTestStringConvertible, Sendable {
        var result: JobResult
        var spent = 0
        var expected: Settlement

        var testDescription: String { "\(result), \(spent) spent" }
    }

    static let table: [Row] = [
        // Handled, whatever the circumstances.
        Row(result: .finished(.done), expected: .acknowledge),
        Row(result: .finished(.done), spent: 99, expected: .acknowledge),
        Row(result: .finished(.ignored(reason: "late")), expected: .acknowledge),
        Row(result: .duplicate, expected: .acknowledge),
        Row(result: .duplicate, spent: 7, expected: .acknowledge),
        // Failed: one tier further each time, then the last tier, then the end.
        Row(result: .failed(failure), spent: 0, expected: .retry(tier("5s"), failure)),
        Row(result: .failed(failure), spent: 1, expected: .retry(tier("30s"), failure)),
        Row(result: .failed(failure), spent: 2, expected: .retry(tier("2m"), failure)),
        Row(result: .failed(failure), spent: 3, expected: .retry(tier("10m"), failure)),
        Row(result: .failed(failure), spent: 4, expected: .retry(tier("1h"), failure)),
        Row(result: .failed(failure), spent: 5, expected: .retry(tier("6h"), failure)),
        Row(result: .failed(failure), spent: 6, expected: .retry(tier("6h"), failure)),
        Row(result: .failed(failure), spent: 7, expected: .deadLetter(.exhausted, failure)),
        Row(result: .failed(failure), spent: 1_000, expected: .deadLetter(.exhausted, failure)),
        // The handler may ask for a longer rest, never for a shorter one.
        Row(
            result: .finished(.retry(code: "smtp.451", detail: "greylisted", after: .seconds(100))),
            expected: .retry(tier("2m"), Failure(code: "smtp.451", detail: "greylisted"))),
        Row(
            result: .finished(.retry(code: "smtp.451", detail: "greylisted", after: .seconds(1))), spent: 2,
            expected: .retry(tier("2m"), Failure(code: "smtp.451", detail: "greylisted"))),
        Row(
            result: .finished(.retry(code: "far", detail: "", after: .seconds(86_400))),
            expected: .retry(tier("6h"), Failure(code: "far", detail: ""))),
        Row(
            result: .finished(.retry(code: "far", detail: "", after: .seconds(86_400))), spent: 7,
            expected: .deadLetter(.exhausted, Failure(code: "far", detail: ""))),
        Row(
            result: .timedOut(.seconds(30)),
            expected: .retry(
                tier("5s"), Failure(code: "timeout", detail: "the handler took longer than 30.0 seconds"))),
        // Hopeless at once, at any count.
        Row(
            result: .finished(.deadLetter(code: "smtp.550", detail: "no such user")),
            expected: .deadLetter(.rejected, Failure(code: "smtp.550", detail: "no such user"))),
        Row(
            result: .undecodable(Failure(code: "decode", detail: "no type")), spent: 3,
            expected: .deadLetter(.undecodable, Failure(code: "decode", detail: "no type"))),
        Row(
            result: .poison(crashes: 2),
            expected: .deadLetter(
                .poison,
                Failure(code: "poison", detail: "the worker died 2 times while it handled this message alone"))),
        // Cut short, by the drain or by the handler: nothing is spent, whatever was before.
        Row(result: .interrupted, expected: .postpone(tier("5s"))),
        Row(result: .interrupted, spent: 7, expected: .postpone(tier("5s"))),
        Row(result: .finished(.release(reason: "busy")), spent: 7, expected: .postpone(tier("5s"))),
    ]

    @Test(arguments: table)
    func eachEndHasItsSettlement(row: Row) {
        let settlement = settle(row.result, attemptsSpent: row.spent, policy: Self.policy)
        #expect(settlement == row.expected)
        // Never straight back to the queue.
        #expect(settlement != .release)
    }

    @Test func crashEvidenceIsEitherHint() {
        #expect(!DeliveryHistory().hasCrashEvidence)
        #expect(DeliveryHistory(isRedelivered: true).hasCrashEvidence)
        #expect(DeliveryHistory(returns: 1).hasCrashEvidence)
    }
}

@Suite struct RetryPolicyTests {
    @Test(arguments: [
        ("5s", "sync.retry.5s", "sync.retry.5s"), ("30s", "sync.retry.30s.a", "sync.retry.30s.b"),
        ("6h", "sync.retry.6h", "sync.retry.6h"),
    ])
    func aTierNamesItsQueueOrOneOfItsSiblings(name: String, even: String, odd: String) throws {
        let tier = try #require(RetryPolicy.standardTiers.first { $0.name == name })
        #expect(tier.queue(of: "sync", spread: 0) == even)
        #expect(tier.queue(of: "sync", spread: 1) == odd)
        #expect(tier.queue(of: "sync", spread: 3) == even)
    }

    @Test func aRestrictedPolicyHasOnlyTheNamedTiers() throws {
        let policy = try #require(RetryPolicy().restricted(to: "5s, 30s"))
        #expect(policy.tiers.map(\.name) == ["5s", "30s"])
        #expect(policy.tier(afterAttempts: 7).name == "30s")
        #expect(policy.tier(afterAttempts: 1, atLeast: .seconds(3_600)).name == "30s")
        #expect(policy.maxAttempts == RetryPolicy().maxAttempts)
    }

    @Test(arguments: ["", "soon", "5s,soon"])
    func anUnknownTierIsRefused(names: String) {
        #expect(RetryPolicy().restricted(to: names) == nil)
    }

    @Test func tiersAreTakenByAscendingDelay() {
        let policy = RetryPolicy(tiers: [
            RetryTier(name: "long", delay: .seconds(9)), RetryTier(name: "short", delay: .seconds(1)),
        ])
        #expect(policy.tier(afterAttempts: 0).name == "short")
        #expect(policy.tier(afterAttempts: 2).name == "long")
    }
}
