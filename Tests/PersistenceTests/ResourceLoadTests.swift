import Domain
import Foundation
import Persistence
import Postgres
import TestSupport
import Testing

/// The table of loads says what the allocations say, whoever has written them.
@Suite(.timeLimit(.minutes(1))) struct ResourceLoadTests {
    private static func differences(_ pool: PostgresPool) async throws -> Int {
        try await pool.query(
            """
            select count(*) as count from (
                select date_trunc('week', lower(during) at time zone 'UTC')::date as week, resource_id,
                    sum(extract(epoch from upper(during) - lower(during)))::bigint as seconds
                from allocations where active and subject_kind in ('appointment', 'job', 'consultation') group by 1, 2
            ) as counted full join (
                select week, resource_id, sum(seconds) as seconds from (
                    select week, resource_id, seconds from resource_loads union all
                    select week, resource_id, seconds from resource_load_changes
                ) as all_loads group by 1, 2 having sum(seconds) <> 0
            ) as kept using (week, resource_id)
            where counted.seconds is distinct from kept.seconds
            """)[0].decode("count")
    }

    @Test func itFollowsEveryChangeOfAllocations() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            _ = try await pool.query(
                "insert into resources (id, kind, name) select 'r' || n, 'crew', 'Crew ' || n from generate_series(1, 3) n"
            )
            let steps: [SQL] = [
                """
                insert into allocations (resource_id, during, subject_kind, subject_id)
                select 'r' || n % 3 + 1, tstzrange('2027-03-01'::timestamptz + n * interval '7 hours',
                    '2027-03-01'::timestamptz + n * interval '7 hours' + interval '100 minutes'), 'job', 'j' || n
                from generate_series(1, 60) n
                """,
                "update allocations set active = false, released_at = now() where subject_id like 'j1%'",
                "update allocations set during = tstzrange(lower(during), upper(during) + interval '20 minutes') where active",
                "update allocations set resource_id = 'r1' where subject_id = 'j20'",
                "update allocations set active = true, released_at = null where subject_id = 'j1'",
                "update allocations set during = during",
                "delete from allocations where subject_id like '%5'",
            ]
            for step in steps {
                _ = try await pool.query(step)
                #expect(try await Self.differences(pool) == 0, "after \(step.text)")
            }
            #expect(try await ResourceLoads.fold(upTo: 1, on: pool) == 1)
            #expect(try await Self.differences(pool) == 0)
            while try await ResourceLoads.fold(upTo: 7, on: pool) > 0 {}
            #expect(try await Self.differences(pool) == 0)
            let left = try await pool.query("select count(*)::int as count from resource_load_changes")[0]
            #expect(try left.decode("count", as: Int.self) == 0)
            let total = try await pool.query("select sum(seconds)::int as sum from resource_loads")[0]
            #expect(try total.decode("sum", as: Int.self) > 0)
        }
    }

    /// Two who exchange their times release and take in opposite orders: with sums that are changed in place they would deadlock.
    @Test func writersWaitForNobodyBecauseOfLoads() async throws {
        try await withScratchDatabase(migrations: Schema.migrations(), poolSize: 4) { pool in
            _ = try await pool.query(
                "insert into resources (id, kind, name) select 'r' || n, 'crew', 'Crew ' || n from generate_series(1, 2) n"
            )
            func insert(_ resource: String, _ day: Int) -> SQL {
                """
                insert into allocations (resource_id, during, subject_kind, subject_id)
                values (\(resource), tstzrange('2027-03-01'::timestamptz + make_interval(days => \(day)::int),
                    '2027-03-01 01:00'::timestamptz + make_interval(days => \(day)::int)), 'job', \(resource + "-" + String(day)))
                """
            }
            try await pool.withTransaction { first in
                _ = try await first.query("set local lock_timeout = '2s'")
                _ = try await first.query(insert("r1", 1))
                try await pool.withTransaction { second in
                    _ = try await second.query("set local lock_timeout = '2s'")
                    _ = try await second.query(insert("r2", 2))
                    _ = try await second.query(insert("r1", 3))
                    #expect(try await ResourceLoads.fold(upTo: 100, on: pool) == 0)
                }
                _ = try await first.query(insert("r2", 4))
                #expect(try await ResourceLoads.fold(upTo: 100, on: pool) == 2)
            }
            #expect(try await Self.differences(pool) == 0)
        }
    }

    @Test func aWeekBeginsOnMondayInUTC() throws {
        func monday(_ text: String) throws -> Int {
            ResourceLoads.Week(of: try Date(text, strategy: .iso8601)).monday
        }
        let week = try monday("2027-03-01T00:00:00Z")
        #expect(try monday("2027-03-07T23:59:59Z") == week)
        #expect(try monday("2027-03-08T00:00:00Z") == week + 7)
        #expect(try monday("1970-01-01T00:00:00Z") == -3)
        #expect(try monday("1969-12-28T12:00:00Z") == -10)
    }

    @Test func theDatabaseCountsTheSameWeeks() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let resource = ResourceID.make()
            _ = try await pool.query(
                "insert into resources (id, kind, name) values (\(resource.rawValue), 'estimator', 'Alex')")
            _ = try await pool.query(
                """
                insert into allocations (resource_id, during, subject_kind, subject_id) values
                (\(resource.rawValue), '[2027-03-07 23:30+00, 2027-03-08 00:30+00)', 'appointment', 'a'),
                (\(resource.rawValue), '[2027-03-08 01:00+00, 2027-03-08 01:30+00)', 'appointment', 'b')
                """)
            let weeks = try ["2027-03-07T12:00:00Z", "2027-03-09T12:00:00Z"].map {
                ResourceLoads.Week(of: try Date($0, strategy: .iso8601))
            }
            let desk = try await pool.withTransaction { transaction in
                try await ConsultationDesk.load(weeks: Set(weeks), in: transaction)
            }
            #expect(weeks.map { desk.loads[$0, resource] } == [3600, 1800])
        }
    }
}
