import Foundation
import Persistence
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct AlertTests {
    static let thresholds = AlertThresholds(letters: 4, retryAge: .seconds(600), retention: .seconds(10 * 86_400))

    static func update(_ pool: PostgresPool, now: Date = Date()) async throws -> (raised: [String], cleared: [String]) {
        let change = try await Alerts.update(thresholds, now: now, on: pool)
        func names(_ alerts: [Alert]) -> [String] { alerts.map { "\($0.kind.rawValue) \($0.key)" }.sorted() }
        return (names(change.raised), names(change.cleared))
    }

    @Test func aNewFingerprintIsAnnouncedOnceForEver() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            #expect(try await Self.update(pool).raised == [])
            let letter = LetterActsTests.letter("a")
            let name = "new_fingerprint \(letter.fingerprint ?? "")"
            try await DeadLetters.insert([letter], on: pool)
            #expect(try await Self.update(pool).raised == [name])
            #expect(try await Self.update(pool) == ([], []))
            try await DeadLetters.insert([LetterActsTests.letter("b")], on: pool)
            #expect(try await Self.update(pool) == ([], []), "alike letters are no news")
            let summary = try #require(try await Alerts.list(on: pool).first?.summary)
            #expect(summary.contains("fault: row <n> is odd"))
            let ids = try await DeadLetters.ids(matching: DeadLetters.Filter(), on: pool)
            _ = try await DeadLetters.discard(ids, reason: "r", by: "ops", on: pool)
            #expect(try await Self.update(pool) == ([], [name]))
            try await DeadLetters.insert([LetterActsTests.letter("c")], on: pool)
            #expect(try await Self.update(pool) == ([], []))
            let other = LetterActsTests.letter("d", text: "another thing")
            try await DeadLetters.insert([other], on: pool)
            #expect(try await Self.update(pool).raised.contains("new_fingerprint \(other.fingerprint ?? "")"))
            let announced = try await Alerts.list(includesCleared: true, on: pool).filter { $0.kind == .newFingerprint }
            #expect(announced.count == 2 && announced.count(where: { $0.clearedAt == nil }) == 1)
        }
    }

    @Test func aRateIsAnnouncedAtItsThresholdAndOverAtHalf() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let now = Date()
            for number in 0..<3 {
                try await DeadLetters.insert([LetterActsTests.letter("m\(number)", at: now - Double(number))], on: pool)
            }
            #expect(try await Self.update(pool, now: now).raised.count == 1, "the fingerprint alone")
            try await DeadLetters.insert([LetterActsTests.letter("m3", at: now - 200)], on: pool)
            #expect(try await Self.update(pool, now: now).raised == ["letter_rate work"])
            #expect(try await Self.update(pool, now: now) == ([], []))
            // Three are left in the window: below the threshold, and not yet over.
            #expect(try await Self.update(pool, now: now + 150) == ([], []))
            #expect(try await Self.update(pool, now: now + 301) == ([], ["letter_rate work"]))
        }
    }

    @Test func aMessageThatIsRetriedForLongIsAnnounced() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let identity = Workers.Identity(id: "w", role: "sync", host: "h", pid: 1, version: "1")
            func report(_ age: Double?) async throws {
                let counts = Workers.Counts(oldestRetryAt: age.map { Date().addingTimeInterval(-$0) })
                try await Workers.report(identity, counts, on: pool)
            }
            try await report(500)
            #expect(try await Self.update(pool) == ([], []))
            try await report(700)
            #expect(try await Self.update(pool) == (["retry_age sync"], []))
            #expect(try await Self.update(pool) == ([], []))
            try await report(nil)
            #expect(try await Self.update(pool) == ([], ["retry_age sync"]))
        }
    }

    @Test func lettersThatTheRetentionWouldDeleteAreAnnouncedBefore() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let letter = LetterActsTests.letter("a")
            try await DeadLetters.insert([letter], on: pool)
            _ = try await DeadLetters.discard([letter.id], reason: "r", by: "ops", on: pool)
            let now = Date()
            #expect(try await Self.update(pool, now: now + 6 * 86_400) == ([], []))
            #expect(try await Self.update(pool, now: now + 8 * 86_400).raised == ["retention dead_letters"])
            #expect(try await Self.update(pool, now: now + 8 * 86_400) == ([], []))
        }
    }

    @Test func watchersThatLookAtOnceAnnounceOnce() async throws {
        try await withScratchDatabase(migrations: Schema.migrations(), poolSize: 10) { pool in
            try await DeadLetters.insert([LetterActsTests.letter("a")], on: pool)
            let raised = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<8 {
                    group.addTask { try await Alerts.update(Self.thresholds, on: pool).raised.count }
                }
                return try await group.reduce(0, +)
            }
            #expect(raised == 1)
        }
    }
}
