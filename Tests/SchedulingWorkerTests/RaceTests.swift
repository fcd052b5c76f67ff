import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import Testing
import WorkerRuntime

@Suite(.timeLimit(.minutes(3)), .serialized) struct RaceTests {
    @Test func ofTwoHundredWritersForOneCrewSlotExactlyOneWins() async throws {
        try await Office.open(poolSize: 24) { office in
            let crew = try await office.add(.crew, "Crew North")
            let request = try office.request(startsAt: "2027-03-16T13:00:00Z", service: "patching", crew: crew)
            let answers = try await withThrowingTaskGroup(of: Office.Answer.self) { group in
                for _ in 0..<200 { group.addTask { try await office.create(request) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.count { $0.status == 201 } == 1)
            #expect(answers.count { $0.status == 409 } == 199)
            #expect(try await office.overlaps() == 0)
            #expect(try await office.allocations().count == 1)
            #expect(office.retries.count(.deadlockDetected) == 0)
            let losers = try answers.filter { $0.status == 409 }.map { try $0.problem }
            #expect(losers.allSatisfy { $0.conflicts.map(\.reason) == ["Crew North is taken 08:45-12:15 EDT"] })
            #expect(losers.allSatisfy { $0.alternatives.count == 5 })
            // Usable means usable: the first loser takes what it was offered.
            let offer = try #require(losers.first?.alternatives.first)
            let accepted = try await office.create(
                JobRequest(
                    customer: Office.customer, site: Office.site, service: "patching", startsAt: offer.startsAt,
                    crew: offer.resource))
            #expect(accepted.status == 201)
        }
    }

    @Test func writersWithoutAWishFillEveryCrewAndNoMore() async throws {
        try await Office.open(poolSize: 16) { office in
            for name in ["A", "B", "C", "D", "E"] { try await office.addCrewWithMachines("Crew \(name)") }
            let request = try office.request(startsAt: "2027-03-16T13:00:00Z")
            let answers = try await withThrowingTaskGroup(of: Office.Answer.self) { group in
                for _ in 0..<60 { group.addTask { try await office.create(request) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.count { $0.status == 201 } == 5)
            #expect(answers.count { $0.status == 409 } == 55)
            #expect(try await office.allocations().count == 15)
            #expect(office.retries.count(.deadlockDetected) == 0)
            #expect(try await office.overlaps() == 0)
        }
    }

    @Test func manyRequestsForTheFirstFreeTimeQueueUpWithoutGaps() async throws {
        try await Office.open(poolSize: 12) { office in
            try await office.add(.crew, "Crew North")
            let request = try office.request(startsAt: nil, service: "patching", minutes: 600)
            let jobs = try await withThrowingTaskGroup(of: JobView.self) { group in
                for _ in 0..<15 { group.addTask { try await office.create(request).job } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            // 600 minutes fill a working day; from Monday 1 March on there are fifteen of them to Friday 19 March.
            let days = Set(jobs.map { $0.startsAt })
            #expect(days.count == 15)
            #expect(days.max() == (try instant("2027-03-19T11:00:00Z")))
            #expect(try await office.overlaps() == 0)
        }
    }

    /// Jobs are made, moved onto each other and canceled all at once: rows and allocations always agree.
    @Test(arguments: [UInt64(1), 2, 3])
    func everythingAtOnceLeavesAConsistentSchedule(seed: UInt64) async throws {
        try await Office.open(poolSize: 16) { office in
            for name in ["A", "B", "C"] { try await office.addCrewWithMachines("Crew \(name)") }
            let starts = (15...17).map { "2027-03-\($0)T12:00:00Z" }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<24 {
                    group.addTask {
                        let first = starts[(writer + Int(seed)) % 3]
                        let answer = try await office.create(try office.request(startsAt: first))
                        guard answer.status == 201 else { return }
                        let job = try answer.job.id
                        for step in 0..<4 {
                            try await office.reschedule(job, to: starts[(writer * Int(seed) + step) % 3])
                        }
                        if writer.isMultiple(of: 2) { try await office.cancel(job) }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await office.overlaps() == 0)
            #expect(office.retries.count(.deadlockDetected) == 0)
            // Each job that is not canceled holds its crew and two machines over its own time, and nobody else holds any.
            let whole = try await office.count(
                """
                select count(*) from jobs j where j.state = 'scheduled' and 3 = (
                    select count(*) from allocations a where a.active and a.subject_id = j.id
                        and a.during = tstzrange(j.starts_at - interval '30 min', j.ends_at + interval '30 min')
                ) and exists (select from allocations a where a.active and a.subject_id = j.id and a.resource_id = j.crew)
                """)
            #expect(whole > 0)
            #expect(try await office.count("select count(*) from jobs where state = 'scheduled'") == whole)
            #expect(try await office.allocations().count == 3 * whole)
            #expect(try await office.count("select count(*) from operations where status = 'pending'") == 0)
            #expect(
                try await office.count("select count(*) from change_log")
                    == office.count("select count(*) from outbox"))
        }
    }

    /// Writers that take no locks and ask nobody: the constraint alone decides.
    @Test func plainInsertsCannotOverlapEither() async throws {
        try await Office.open(poolSize: 16) { office in
            let crew = try await office.add(.crew, "Crew North")
            let refusals = try await withThrowingTaskGroup(of: PostgresError?.self) { group in
                for _ in 0..<200 {
                    group.addTask {
                        do {
                            try await office.occupy(crew, "2027-03-16T13:00:00Z", "2027-03-16T14:00:00Z")
                            return nil
                        } catch let error as PostgresError {
                            return error
                        }
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(refusals.count { $0 == nil } == 1)
            let errors = refusals.compactMap(\.self)
            // Two inserts that wait for each other are a deadlock, which the server ends: refused all the same.
            #expect(errors.allSatisfy { $0.isOverlap || $0.sqlState == .deadlockDetected })
            #expect(errors.contains { $0.sqlState?.rawValue == "23P01" && $0.constraint == "allocations_no_overlap" })
            #expect(try await office.overlaps() == 0)
        }
    }

    /// A writer without locks has inserted and not yet committed: the worker sees the crew as free, its insert waits at the
    /// constraint, is refused, and the next crew gets the job.
    @Test func aWriterThatTakesNoLocksIsStoppedByTheConstraintAlone() async throws {
        try await Office.open { office in
            let north = try await office.add(.crew, "Crew North")
            try await office.add(.crew, "Crew South")
            let request = try office.request(startsAt: "2027-03-16T13:00:00Z", service: "patching")
            let (envelope, operation) = try await office.command(.createJob) {
                CreateJob(context: $0, request: request)
            }
            let handling = try await office.pool.withTransaction { transaction in
                _ = try await transaction.query(
                    """
                    insert into allocations (resource_id, during, subject_kind, subject_id)
                    values (\(north.rawValue), '[2027-03-16 14:00Z,2027-03-16 15:00Z)', 'job', 'elsewhere')
                    """)
                let handling = Task { try await office.handle(envelope) }
                while try await office.count("select count(*) from pg_locks where not granted") == 0 {
                    await Task.yield()
                }
                return handling
            }
            #expect(try await handling.value == .outcome(.done))
            #expect(try await office.answer(to: operation).job.crew?.name == "Crew South")
            #expect(try await office.overlaps() == 0)
        }
    }
}
