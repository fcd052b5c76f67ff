import Foundation
import Messaging
import Postgres
import Testing
import WorkerRuntime

@Suite struct ClassificationTests {
    @Test(arguments: [
        PostgresError(.connectionFailed, "refused"), PostgresError(.connectionLost, "gone", sqlState: .adminShutdown),
        PostgresError(.poolTimeout, "no connection"), PostgresError(.authenticationFailed, "password"),
        PostgresError(.closed, "pool"),
    ])
    func aServerThatIsAwayIsNoFaultOfTheMessage(error: PostgresError) {
        #expect(FailureCause(error) == .databaseAway)
    }

    @Test func aCommitInDoubtIsRunAgain() {
        var error = PostgresError(.connectionLost, "during commit")
        error.isCommitUnknown = true
        #expect(FailureCause(error) == .databaseAway)
    }

    @Test(arguments: [SQLState.serializationFailure, .deadlockDetected])
    func lostRacesAreContention(state: SQLState) {
        guard case .contention(let failure) = FailureCause(PostgresError(.server, "lost", sqlState: state)) else {
            Issue.record("not contention")
            return
        }
        #expect(failure.code == "db.\(state.rawValue)")
    }

    @Test(arguments: [
        (PostgresError(.server, "m", sqlState: .uniqueViolation), "db.23505"),
        (PostgresError(.timeout, "statement timeout", sqlState: .queryCanceled), "db.57014"),
        (PostgresError(.misuse, "m"), "db.misuse"),
    ])
    func otherDatabaseErrorsCountAgainstTheMessage(error: PostgresError, code: String) {
        guard case .other(let failure) = FailureCause(error) else {
            Issue.record("\(FailureCause(error))")
            return
        }
        #expect(failure.code == code)
    }

    @Test(arguments: ["22001", "22021", "22P02", "23502", "23514", "54000"])
    func dataThatTheDatabaseNeverTakesIsNotTriedAgain(state: String) {
        let cause = FailureCause(PostgresError(.server, "no", sqlState: SQLState(rawValue: state)))
        guard case .unstorable(let failure) = cause else {
            Issue.record("\(cause)")
            return
        }
        #expect(failure.code == "db.\(state)")
    }

    @Test func bytesThatDoNotDecodeSayWhereWithoutSayingWhat() throws {
        struct Wanted: Decodable { var items: [Int] }
        let error = try #require(throws: (any Error).self) {
            _ = try WireJSON.decode(Wanted.self, from: Array(#"{"items":[1,"secret"]}"#.utf8))
        }
        guard case .undecodable(let failure) = FailureCause(error) else {
            Issue.record("\(FailureCause(error))")
            return
        }
        #expect(failure.code == "decode" && failure.detail.hasPrefix("at /items/1: "))
        #expect(!failure.detail.contains("secret"))
    }

    @Test func cancellationIsNoFailure() {
        #expect(FailureCause(CancellationError()) == .cancelled)
    }
}
