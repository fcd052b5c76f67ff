import Foundation
import Persistence
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct OperatorLogTests {
    static func act(_ subject: String, reason: String? = nil) -> OperatorAct {
        OperatorAct(
            actor: "ops", kind: OperatorAct.Kind(rawValue: "test.act"), subject: subject, reason: reason,
            details: JSONText(#"{"b":1.50,"a":"ü"}"#))
    }

    static func append(_ count: Int, on pool: PostgresPool) async throws {
        for number in 1...count {
            try await pool.withTransaction { transaction in
                try await OperatorLog.append(act("s\(number)", reason: number == 2 ? "" : nil), in: transaction)
            }
        }
    }

    /// Gets around the triggers and constraints, as the owner of the tables can.
    static func tamper(_ statement: String, on pool: PostgresPool) async throws {
        _ = try await pool.withConnection { connection in
            _ = try await connection.query("set session_replication_role = replica")
            _ = try await connection.query(SQL(unescaped: statement))
            _ = try await connection.query("reset session_replication_role")
        }
    }

    @Test func aLogThatNobodyTouchedIsIntact() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            #expect(try await OperatorLog.verify(on: pool) == .intact(entries: 0, head: nil))
            try await Self.append(7, on: pool)
            let entries = try await OperatorLog.list(on: pool)
            #expect(entries.map(\.id) == [7, 6, 5, 4, 3, 2, 1])
            #expect(try await OperatorLog.verify(pageSize: 3, on: pool) == .intact(entries: 7, head: entries[0].hash))
            #expect(try await OperatorLog.verify(notedHead: entries[4].hash, on: pool) != .headMissing(entries: 7))
            let filtered = try await OperatorLog.list(
                OperatorLog.Filter(actor: "ops", subject: "s2", kindPrefix: "test."), on: pool)
            #expect(filtered.map(\.id) == [2] && filtered[0].act.reason == "")
        }
    }

    @Test(arguments: [
        ("update operator_log set actor = 'other' where id = 3", 3),
        ("update operator_log set at = at + interval '1 microsecond' where id = 4", 4),
        ("update operator_log set reason = null where id = 2", 2),
        ("update operator_log set details = '{\"a\": \"u\"}' where id = 1", 1),
        ("update operator_log set act = 'test.actx', subject = 's' where id = 5", 5),
        ("delete from operator_log where id = 3", 4),
        ("delete from operator_log where id = 1", 2),
        (
            "insert into operator_log select id + 1, at, actor, act, subject, reason, details, hash, repeat('0', 64) "
                + "from operator_log where id = 6", 7
        ),
    ])
    func theFirstTamperedRowIsNamed(statement: String, id: Int) async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            try await Self.append(6, on: pool)
            try await Self.tamper(statement, on: pool)
            guard case .broken(let found, _) = try await OperatorLog.verify(pageSize: 2, on: pool) else {
                Issue.record("not found: \(statement)")
                return
            }
            #expect(found == id)
        }
    }

    @Test func aCutEndIsFoundByANotedHead() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            try await Self.append(4, on: pool)
            guard case .intact(_, let head?) = try await OperatorLog.verify(on: pool) else {
                Issue.record("no head")
                return
            }
            try await Self.tamper("delete from operator_log where id = 4", on: pool)
            guard case .intact(3, _) = try await OperatorLog.verify(on: pool) else {
                Issue.record("the chain alone cannot know")
                return
            }
            #expect(try await OperatorLog.verify(notedHead: head, on: pool) == .headMissing(entries: 3))
        }
    }

    @Test(arguments: [
        "update operator_log set actor = 'nobody'", "delete from operator_log", "truncate operator_log",
        "truncate operator_log cascade",
    ])
    func theDatabaseRefusesChanges(statement: String) async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            try await Self.append(2, on: pool)
            let error = await #expect(throws: PostgresError.self) { try await pool.query(SQL(unescaped: statement)) }
            #expect(error?.sqlState?.rawValue == "55000")
            #expect(try await OperatorLog.list(on: pool).count == 2)
        }
    }

    @Test func appendsOfManyAtOnceMakeOneChain() async throws {
        try await withScratchDatabase(migrations: Schema.migrations(), poolSize: 12) { pool in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<40 {
                    group.addTask {
                        try await pool.withTransaction { transaction in
                            try await OperatorLog.append(Self.act("s\(number)"), in: transaction)
                        }
                    }
                }
                try await group.waitForAll()
            }
            guard case .intact(40, _) = try await OperatorLog.verify(on: pool) else {
                Issue.record("\(try await OperatorLog.verify(on: pool))")
                return
            }
            let entries = try await OperatorLog.list(limit: 100, on: pool)
            #expect(entries.map(\.at) == entries.map(\.at).sorted(by: >))
        }
    }

    @Test func anActSharesTheFateOfItsTransaction() async throws {
        struct Undo: Error {}
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            await #expect(throws: Undo.self) {
                try await pool.withTransaction { transaction in
                    try await OperatorLog.append(Self.act("s"), in: transaction)
                    throw Undo()
                }
            }
            try await Self.append(1, on: pool)
            guard case .intact(1, _) = try await OperatorLog.verify(on: pool) else {
                Issue.record("the undone entry is still there")
                return
            }
        }
    }
}
