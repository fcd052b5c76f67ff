import Domain
import Foundation
import Persistence
import Postgres
import Testing

@Suite(.timeLimit(.minutes(1))) struct SchemaTests {
    @Test func anOverlappingInsertIsRefusedByName() async throws {
        try await Office.open { office in
            let crew = try await office.add(.crew, "Crew North")
            try await office.occupy(crew, "2027-03-16T13:00:00Z", "2027-03-16T14:00:00Z")
            let error = await #expect(throws: PostgresError.self) {
                try await office.occupy(crew, "2027-03-16T13:59:59Z", "2027-03-16T15:00:00Z")
            }
            #expect(error?.sqlState?.rawValue == "23P01" && error?.constraint == "allocations_no_overlap")
            // What touches does not overlap, and what is released is out of the way.
            try await office.occupy(crew, "2027-03-16T14:00:00Z", "2027-03-16T15:00:00Z")
            _ = try await office.pool.query("update allocations set active = false, released_at = now()")
            try await office.occupy(crew, "2027-03-16T13:30:00Z", "2027-03-16T14:30:00Z")
        }
    }

    @Test func aReleasedAllocationCannotComeBackOverAnother() async throws {
        try await Office.open { office in
            let crew = try await office.add(.crew, "Crew North")
            try await office.occupy(crew, "2027-03-16T13:00:00Z", "2027-03-16T14:00:00Z")
            _ = try await office.pool.query("update allocations set active = false, released_at = now()")
            try await office.occupy(crew, "2027-03-16T13:30:00Z", "2027-03-16T14:30:00Z")
            let error = await #expect(throws: PostgresError.self) {
                try await office.pool.query("update allocations set active = true, released_at = null")
            }
            #expect(error?.isOverlap == true)
        }
    }

    @Test(arguments: [
        "update change_log set actor = 'nobody'", "delete from change_log", "truncate change_log",
        "truncate change_log cascade",
    ])
    func theChangeLogCannotBeChanged(statement: String) async throws {
        try await Office.open { office in
            try await office.add(.crew, "Crew North")
            try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z", service: "patching"))
            let error = await #expect(throws: PostgresError.self) {
                try await office.pool.query(SQL(unescaped: statement))
            }
            #expect(error?.sqlState?.rawValue == "55000")
            #expect(try await office.count("select count(*) from change_log where actor = 'dispatcher'") == 1)
        }
    }

    @Test func theWorkerMayNotTouchWhatIsNotItsOwn() async throws {
        try await Office.open { office in
            for statement in [
                "insert into resources (id, kind, name) values ('res_x', 'crew', 'Mine')", "delete from allocations",
                "select * from api_keys", "update change_log set actor = 'nobody'", "delete from jobs",
                "insert into consultations (id) values ('con_x')",
            ] {
                let error = await #expect(throws: PostgresError.self) {
                    try await office.pool.withTransaction { transaction in
                        _ = try await transaction.query("set local role neff_scheduling")
                        _ = try await transaction.query(SQL(unescaped: statement))
                    }
                }
                #expect(error?.sqlState == .insufficientPrivilege, "\(statement)")
            }
        }
    }
}
