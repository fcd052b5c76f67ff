import Foundation
import Persistence
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct LogInThrottleTests {
    private static let start = Date(timeIntervalSince1970: 1_804_690_000)

    @Test(arguments: [(0, 0.0), (5, 0), (6, 1), (7, 2), (8, 4), (15, 512), (16, 900), (17, 900), (10_000, 900)])
    func theWaitDoublesUntilTheCap(failures: Int, seconds: TimeInterval) {
        #expect(LogInThrottle.Subject.account(email: "x").rules.wait(after: failures) == seconds)
    }

    @Test func fiveAMinuteAreTheBeginningForAnAddress() {
        let rules = LogInThrottle.Subject.address("x").rules
        #expect([5, 6, 7, 8, 12, 99].map(rules.wait) == [0, 12, 24, 48, 768, 900])
    }

    @Test func atTheLongestWaitAnAccountTakesAboutAHundredAttemptsADay() {
        let rules = LogInThrottle.Subject.account(email: "x").rules
        var (attempts, now) = (0, 0.0)
        while now < 86_400 {
            attempts += 1
            now += rules.wait(after: attempts)
        }
        #expect((90...110).contains(attempts), "\(attempts)")
    }

    @Test func anAttemptCountsFromItsBeginning() async throws {
        try await withScratchDatabase(migrations: Schema.migrations(), poolSize: 8) { pool in
            let subjects: [LogInThrottle.Subject] = [.address("192.0.2.1"), .account(email: "a@example.com")]
            let admitted = try await withThrowingTaskGroup(of: Bool.self) { tasks in
                for _ in 0..<40 {
                    tasks.addTask {
                        try await LogInThrottle.admit(subjects, at: Self.start, on: pool) == .admitted
                    }
                }
                return try await tasks.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(admitted == 6, "five are free, and the sixth begins the wait")
        }
    }

    @Test func anInstantThatTheDatabaseRoundsUpIsNoWait() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let now = Date(timeIntervalSinceReferenceDate: 800_000_000.123_456_7)
            let subjects: [LogInThrottle.Subject] = [.account(email: "a@example.com"), .address("192.0.2.1")]
            for _ in 0..<5 {
                let admission = try await LogInThrottle.admit(subjects, at: now, on: pool)
                #expect(admission == .admitted)
            }
        }
    }

    @Test func whoeverHasToWaitIsNotCounted() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            func admit(_ subjects: [LogInThrottle.Subject], after seconds: TimeInterval) async throws -> TimeInterval? {
                switch try await LogInThrottle.admit(subjects, at: Self.start + seconds, on: pool) {
                case .admitted: nil
                case .blocked(let until): until.timeIntervalSince(Self.start)
                }
            }
            let account = LogInThrottle.Subject.account(email: "A@example.com")
            for _ in 0..<6 { #expect(try await admit([account], after: 0) == nil) }
            for _ in 0..<9 {
                let until = try await admit([.account(email: "a@EXAMPLE.com"), .address("192.0.2.1")], after: 0.5)
                #expect(until == 1, "case does not matter")
            }
            let addresses: Int = try await pool.query(
                "select coalesce(sum(failures), 0)::bigint as n from login_throttles where kind = 'address'")[0]["n"]
            #expect(addresses == 0)
            #expect(try await admit([account], after: 1) == nil)
            #expect(try await admit([account], after: 2.5) == 3)
        }
    }

    @Test func aRefundTakesOneAttemptBackAndFailuresAreForgottenInTime() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let address = LogInThrottle.Subject.address("192.0.2.1")
            func admit(after seconds: TimeInterval) async throws -> Bool {
                try await LogInThrottle.admit([address], at: Self.start + seconds, on: pool) == .admitted
            }
            for _ in 0..<6 { #expect(try await admit(after: 0)) }
            #expect(try await !admit(after: 1))
            try await LogInThrottle.refund([address], on: pool)
            #expect(try await admit(after: 1))
            #expect(try await !admit(after: 1), "the refund was for one")
            for _ in 0..<6 { #expect(try await admit(after: 3_700), "an hour later nothing is known") }
            #expect(try await !admit(after: 3_700))
        }
    }

    @Test func oldRowsAreTidiedUpAndAddressesTypedAreNotKept() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            for index in 0..<10 {
                let subject = LogInThrottle.Subject.account(email: "typed\(index)@example.com")
                _ = try await LogInThrottle.admit([subject], at: Self.start, on: pool)
            }
            let rows = try await pool.query("select t::text as row from login_throttles t")
            #expect(try rows.allSatisfy { try !$0.decode("row", as: String.self).contains("typed") })
            _ = try await LogInThrottle.admit([.address("192.0.2.1")], at: Self.start + 90_000, on: pool)
            let left: Int = try await pool.query("select count(*) as n from login_throttles")[0]["n"]
            #expect(left == 1)
        }
    }
}
