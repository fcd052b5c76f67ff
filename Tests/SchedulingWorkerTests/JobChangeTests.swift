import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import Testing

@Suite(.timeLimit(.minutes(2))) struct JobChangeTests {
    @Test func aMoveKeepsTheCrewAndFreesTheOldTime() async throws {
        try await Office.open { office in
            try await office.add(.crew, "Crew North")
            let south = try await office.add(.crew, "Crew South")
            let created = try await office.create(
                try office.request(startsAt: "2027-03-16T13:00:00Z", service: "patching", crew: south)
            ).job
            // The new time overlaps the old one: the job is not in its own way.
            let answer = try await office.reschedule(created.id, to: "2027-03-16T14:00:00Z", version: 1)
            let moved = try answer.job
            #expect(answer.status == 200 && moved.version == 2 && moved.crew?.name == "Crew South")
            #expect(try await office.allocations().map(\.from) == [try instant("2027-03-16T13:45:00Z")])
            let event = try #require(try await office.published(.jobRescheduled, as: JobEvent.self).first)
            #expect(event.sequence == 1 && event.previousCrew == nil && event.reason == "rain")
            #expect(event.previousVisit?.startsAt == created.startsAt)
            let log = try #require(
                try await office.pool.query(
                    "select before, after, reason from change_log where change_type = 'rescheduled'"
                )
                .first)
            #expect(
                try WireJSON.decode(JobView.self, from: try log.decode("before", as: String.self).utf8) == created)
            #expect(try WireJSON.decode(JobView.self, from: try log.decode("after", as: String.self).utf8) == moved)
        }
    }

    @Test func aMoveToWhereTheCrewIsTakenGoesToAnotherCrewAndSaysSo() async throws {
        try await Office.open { office in
            let north = try await office.add(.crew, "Crew North")
            try await office.add(.crew, "Crew South")
            let job = try await office.create(
                try office.request(startsAt: "2027-03-16T13:00:00Z", service: "patching", crew: north)
            ).job
            try await office.occupy(north, "2027-03-17T13:00:00Z", "2027-03-17T14:00:00Z")
            let moved = try await office.reschedule(job.id, to: "2027-03-17T13:00:00Z").job
            #expect(moved.crew?.name == "Crew South")
            let event = try #require(try await office.published(.jobRescheduled, as: JobEvent.self).first)
            #expect(event.previousCrew?.name == "Crew North" && event.crew?.name == "Crew South")
        }
    }

    @Test func aMoveThatCannotBeLeavesEverythingAsItWas() async throws {
        try await Office.open { office in
            let north = try await office.add(.crew, "Crew North")
            let job = try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z", service: "patching"))
                .job
            try await office.occupy(north, "2027-03-17T13:00:00Z", "2027-03-17T14:00:00Z")
            let before = try await office.allocations()
            let answer = try await office.reschedule(job.id, to: "2027-03-17T13:00:00Z")
            #expect(answer.status == 409)
            #expect(try answer.problem.conflicts.map(\.reason) == ["Crew North is taken 09:00-10:00 EDT"])
            #expect(try !answer.problem.alternatives.isEmpty)
            #expect(try await office.allocations() == before)
            #expect(try await JobRepository(pool: office.pool).find(job.id) == job)
            #expect(try await office.reschedule(job.id, to: "2027-03-20T13:00:00Z").status == 422)
            #expect(try await office.allocations() == before)
        }
    }

    @Test func aMoveToTheSameTimeTellsNobody() async throws {
        try await Office.open { office in
            try await office.add(.crew, "Crew North")
            let job = try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z", service: "patching"))
                .job
            let answer = try await office.reschedule(job.id, to: "2027-03-16T13:00:00Z")
            #expect(try answer.status == 200 && answer.job == job)
            #expect(try await office.publishedTypes() == ["job.scheduled"])
        }
    }

    @Test func aCancellationFreesEverythingAndIsFinal() async throws {
        try await Office.open { office in
            try await office.addCrewWithMachines("Crew North")
            let job = try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z")).job
            let canceled = try await office.cancel(job.id, version: 1).job
            #expect(canceled.state == .canceled && canceled.version == 2 && canceled.cancelReason == "sold the house")
            #expect(canceled.crew == job.crew && canceled.equipment.isEmpty)
            #expect(try await office.allocations().isEmpty)
            let event = try #require(try await office.published(.jobCanceled, as: JobEvent.self).first)
            #expect(event.sequence == 1 && event.crew?.name == "Crew North" && event.reason == "sold the house")
            #expect(try await office.cancel(job.id).problem.type == "illegal-transition")
            #expect(
                try await office.reschedule(job.id, to: "2027-03-17T13:00:00Z").problem.type == "illegal-transition")
            // The time is free again.
            #expect(try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z")).status == 201)
        }
    }

    @Test func anOutdatedVersionAndAnUnknownJobAreRefused() async throws {
        try await Office.open { office in
            try await office.add(.crew, "Crew North")
            let job = try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z", service: "patching"))
                .job
            #expect(try await office.reschedule(job.id, to: "2027-03-17T13:00:00Z", version: 7).status == 412)
            #expect(try await office.cancel(job.id, version: 0).status == 412)
            #expect(try await office.cancel(.make()).status == 404)
            #expect(try await office.reschedule(.make(), to: "2027-03-17T13:00:00Z").status == 404)
            #expect(try await office.publishedTypes() == ["job.scheduled"])
        }
    }

    /// Two people move and cancel one job at once: whichever comes first, rows and state agree.
    @Test(arguments: 0..<4)
    func crossedCommandsAgree(round: Int) async throws {
        try await Office.open(poolSize: 8) { office in
            try await office.add(.crew, "Crew North")
            let job = try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z", service: "patching"))
                .job
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await office.cancel(job.id, version: 1) }
                group.addTask { try await office.reschedule(job.id, to: "2027-03-17T13:00:00Z", version: 1) }
                group.addTask { try await office.reschedule(job.id, to: "2027-03-18T13:00:00Z", version: 1) }
                try await group.waitForAll()
            }
            let after = try #require(try await JobRepository(pool: office.pool).find(job.id))
            #expect(after.version == 2)
            let taken = try await office.allocations()
            #expect(taken.count == (after.state == .canceled ? 0 : 1))
            #expect(taken.allSatisfy { $0.from == after.startsAt - 15 * 60 })
            #expect(try await office.count("select count(*) from operations where http_status = 412") == 2)
        }
    }
}
