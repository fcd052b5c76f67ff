import Testing

@testable import Postgres

@Suite struct ExchangeTests {
    private let key = StatementCache.Key("select 1")
    private let broken = PostgresError(.server, "no", sqlState: .undefinedTable)

    @Test func answersGoToTheirSteps() throws {
        var exchange = Exchange(steps: [
            .deallocate("s0"), .sync, .control("begin", isReported: false), .prepare(name: "s1", key: key),
            .execute(index: 0, name: "s1"), .execute(index: 1, name: "s1"), .sync,
        ])
        #expect(exchange.receive(.rows(Rows(command: "DEALLOCATE"))) == .forget("s0"))
        #expect(exchange.receive(.end) == .none)
        #expect(exchange.receive(.sync) == .none)
        #expect(exchange.receive(.rows(Rows(command: "BEGIN"))) == .none)
        #expect(exchange.receive(.end) == .none)
        #expect(exchange.receive(.rows(Rows())) == .remember(key, name: "s1"))
        #expect(exchange.receive(.end) == .none)
        #expect(exchange.receive(.rows(Rows(command: "FIRST"))) == .none)
        #expect(exchange.receive(.end) == .none)
        #expect(exchange.receive(.rows(Rows(command: "SECOND"))) == .none)
        #expect(exchange.receive(.end) == .none)
        #expect(exchange.receive(.sync) == .finish)
        #expect(try exchange.result.get().map(\.command) == ["FIRST", "SECOND"])
    }

    @Test func theFirstErrorCountsAndTheRestIsSkipped() throws {
        var exchange = Exchange(steps: [
            .prepare(name: "s1", key: key), .execute(index: 0, name: "s1"), .execute(index: 1, name: nil), .sync,
        ])
        #expect(exchange.receive(.failed(broken)) == .none)
        #expect(exchange.receive(.end) == .none)
        for _ in 0..<2 {
            #expect(exchange.receive(.skipped) == .none)
            #expect(exchange.receive(.end) == .none)
        }
        #expect(exchange.receive(.sync) == .finish)
        #expect(throws: PostgresError.self) { try exchange.result.get() }
        #expect(exchange.failure?.sqlState == .undefinedTable)
    }

    @Test func aFailedDeallocationIsNobodysFailure() throws {
        var exchange = Exchange(steps: [
            .deallocate("s0"), .deallocate("s1"), .sync, .execute(index: 0, name: nil), .sync,
        ])
        #expect(exchange.receive(.failed(broken)) == .forget("s0"))
        for answer: Exchange.Answer in [.end, .skipped, .end, .sync, .rows(Rows(command: "INSERT")), .end] {
            #expect(exchange.receive(answer) == .none)
        }
        #expect(exchange.receive(.sync) == .finish)
        #expect(try exchange.result.get().map(\.command) == ["INSERT"])
    }

    @Test func aCancelledDeallocationIsTriedAgainAnotherTime() throws {
        var exchange = Exchange(steps: [.deallocate("s0"), .sync, .execute(index: 0, name: nil), .sync])
        let cancelled = PostgresError(.cancelled, "no", sqlState: .queryCanceled)
        #expect(exchange.receive(.failed(cancelled)) == .none)
        #expect(exchange.failure == nil)
    }

    @Test func aSyncThatComesTooEarlyIsAnErrorAndNotAHang() {
        var exchange = Exchange(steps: [.execute(index: 0, name: nil), .sync])
        #expect(exchange.receive(.sync) == .finish)
        #expect(exchange.failure?.code == .connectionLost)
        #expect(exchange.receive(.end) == .none)
    }

    @Test func aScriptEndsWithTheFirstNull() throws {
        var exchange = Exchange(steps: [.script("a; b")])
        #expect(exchange.receive(.rows(Rows(command: "A"))) == .none)
        #expect(exchange.receive(.rows(Rows(command: "B"))) == .none)
        #expect(exchange.receive(.end) == .finish)
        #expect(try exchange.result.get().count == 2)
    }
}

@Suite struct StatementCacheTests {
    private func key(_ text: String) -> StatementCache.Key { StatementCache.Key(SQL(unescaped: text)) }

    @Test func theLeastRecentlyUsedStatementIsGivenUp() {
        var cache = StatementCache(limit: 2)
        cache.insert(key("a"), name: "s1")
        cache.insert(key("b"), name: "s2")
        #expect(cache.name(for: key("a")) == "s1")
        cache.insert(key("c"), name: "s3")
        #expect(cache.name(for: key("b")) == nil)
        #expect(cache.name(for: key("a")) == "s1")
        #expect(cache.abandoned == ["s2"])
        cache.forgotten("s2")
        #expect(cache.abandoned.isEmpty)
    }

    @Test func otherTypesAreAnotherStatement() {
        var cache = StatementCache(limit: 2)
        cache.insert(StatementCache.Key("a\(1)"), name: "s1")
        #expect(cache.name(for: StatementCache.Key("a\("text")")) == nil)
    }

    @Test func aStatementTheServerHasLostNeedsNoDeallocation() {
        var cache = StatementCache(limit: 2)
        cache.insert(key("a"), name: "s1")
        cache.remove(key("a"), isKnownToServer: false)
        #expect(cache.count == 0)
        #expect(cache.abandoned.isEmpty)
    }
}
