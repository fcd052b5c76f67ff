import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import Testing
import WorkerRuntime

@Suite(.timeLimit(.minutes(2))) struct JobCreationTests {
    @Test func aJobTakesACrewAndOneMachineOfEachTypeWithBuffers() async throws {
        try await Office.open { office in
            let crew = try await office.addCrewWithMachines("Crew North")
            let answer = try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z"))
            let job = try answer.job
            #expect(answer.status == 201)
            #expect(job.number == "J-2027-00001" && job.state == .scheduled && job.version == 1)
            #expect(job.crew == ResourceName(id: crew, name: "Crew North"))
            #expect(job.equipment.map(\.name) == ["Paver of Crew North", "Roller of Crew North"])
            #expect(job.endsAt == (try instant("2027-03-16T19:00:00Z")))
            let taken = try await office.allocations()
            #expect(taken.map(\.resource) == ["Crew North", "Paver of Crew North", "Roller of Crew North"])
            for allocation in taken {
                #expect(allocation.from == (try instant("2027-03-16T12:30:00Z")))
                #expect(allocation.to == (try instant("2027-03-16T19:30:00Z")))
                #expect(allocation.subject == job.id.rawValue)
            }
            let event = try #require(try await office.published(.jobScheduled, as: JobEvent.self).first)
            #expect(event.number == job.number && event.sequence == 0)
            #expect(event.crew?.email == "north@example.com" && event.customer == Office.customer)
            let log = try #require(
                try await office.pool.query(
                    "select change_type, before, after, actor, source, request_id from change_log"
                )
                .first)
            #expect(try log.decode("change_type", as: String.self) == "created")
            #expect(try log.decode("before", as: String?.self) == nil)
            let after = try WireJSON.decode(JobView.self, from: try log.decode("after", as: String.self).utf8)
            #expect(after == job)
            #expect(try log.decode("actor", as: String.self) == "dispatcher")
        }
    }

    @Test func theSameCommandTwiceMakesOneJob() async throws {
        try await Office.open { office in
            try await office.addCrewWithMachines("Crew North")
            let request = try office.request(startsAt: "2027-03-16T13:00:00Z")
            let (envelope, _) = try await office.command(.createJob) { CreateJob(context: $0, request: request) }
            #expect(try await office.handle(envelope) == .outcome(.done))
            #expect(try await office.handle(envelope) == .duplicate)
            #expect(try await office.count("select count(*) from jobs") == 1)
            #expect(try await office.count("select count(*) from outbox") == 1)
        }
    }

    @Test func theLeastBusyCrewOfTheWeekGoesThenTheNameDecides() async throws {
        try await Office.open { office in
            let north = try await office.add(.crew, "Crew North")
            try await office.add(.crew, "Crew South")
            try await office.occupy(north, "2027-03-18T12:00:00Z", "2027-03-18T14:00:00Z")
            let first = try await office.create(
                try office.request(startsAt: "2027-03-16T13:00:00Z", service: "patching"))
            #expect(try first.job.crew?.name == "Crew South")
            // South now has more of the week than North.
            let second = try await office.create(
                try office.request(startsAt: "2027-03-17T13:00:00Z", service: "patching"))
            #expect(try second.job.crew?.name == "Crew North")
            // The week after, both are idle.
            let third = try await office.create(
                try office.request(startsAt: "2027-03-23T13:00:00Z", service: "patching"))
            #expect(try third.job.crew?.name == "Crew North")
        }
    }

    @Test func aTakenTimeIsAConflictThatSaysWhoAndOffersWhatWorks() async throws {
        try await Office.open { office in
            let north = try await office.add(.crew, "Crew North")
            try await office.add(.crew, "Crew South")
            try await office.occupy(north, "2027-03-16T12:00:00Z", "2027-03-16T18:30:00Z")
            let answer = try await office.create(
                try office.request(startsAt: "2027-03-16T13:00:00Z", service: "patching", crew: north))
            let problem = try answer.problem
            #expect(answer.status == 409 && problem.type == "schedule-conflict")
            #expect(problem.conflicts.map(\.reason) == ["Crew North is taken 08:00-14:30 EDT"])
            #expect(problem.alternatives.count == 5)
            #expect(problem.alternatives[0].resourceName == "Crew South")
            #expect(problem.alternatives[0].startsAt == (try instant("2027-03-16T13:00:00Z")))
            #expect(try await office.count("select count(*) from jobs") == 0)
            #expect(try await office.allocations().isEmpty)
            #expect(try await office.publishedTypes().isEmpty)
            // Each alternative is as good as it says.
            let offer = problem.alternatives[0]
            let accepted = try await office.create(
                try office.request(startsAt: "2027-03-16T13:00:00Z", service: "patching", crew: offer.resource))
            #expect(accepted.status == 201)
        }
    }

    @Test func aMissingMachineIsAConflictToo() async throws {
        try await Office.open { office in
            try await office.addCrewWithMachines("Crew North")
            let id = try #require(try await office.resource("Paver of Crew North"))
            try await office.occupy(id, "2027-03-16T15:00:00Z", "2027-03-16T16:00:00Z")
            let answer = try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z"))
            #expect(answer.status == 409)
            #expect(try answer.problem.conflicts.map(\.reason) == ["Paver of Crew North is taken 11:00-12:00 EDT"])
            for alternative in try answer.problem.alternatives {
                #expect(abs(alternative.startsAt.timeIntervalSince(try instant("2027-03-16T15:30:00Z"))) >= 3600)
            }
        }
    }

    @Test func everyFieldThatDoesNotFitIsNamed() async throws {
        try await Office.open { office in
            let estimator = try await office.add(.estimator, "Dana")
            var request = try office.request(startsAt: "2027-03-16T13:00:00Z", crew: estimator, timeZone: "Ohio")
            request.service = "roofing"
            let answer = try await office.create(request)
            #expect(answer.status == 422)
            #expect(try answer.problem.errors.map(\.pointer) == ["/site/time_zone", "/service", "/crew"])
            let long = try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z", minutes: 601))
            #expect(try long.problem.errors.map(\.code) == ["too_long"])
            let unstaffed = try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z"))
            #expect(try unstaffed.problem.errors.map(\.code) == ["resource_missing"])
            #expect(try await office.count("select count(*) from operations where status <> 'failed'") == 0)
        }
    }

    @Test func aCrewWithoutTheSkillIsNeverChosen() async throws {
        try await Office.open { office in
            _ = try await office.pool.query("update service_types set skills = '{asphalt}' where code = 'patching'")
            let novice = try await office.add(.crew, "A novices")
            try await office.add(.crew, "Masters", skills: ["asphalt", "concrete"])
            let job = try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z", service: "patching"))
            #expect(try job.job.crew?.name == "Masters")
            let refused = try await office.create(
                try office.request(startsAt: "2027-03-17T13:00:00Z", service: "patching", crew: novice))
            #expect(try refused.problem.errors.map(\.code) == ["skill_missing"])
        }
    }

    @Test(arguments: [
        ("2027-03-13T15:00:00Z", "closed_day"), ("2027-03-15T10:59:00Z", "outside_hours"),
        ("2027-03-15T18:30:00Z", "outside_hours"), ("2027-02-26T15:00:00Z", "in_past"),
        ("2027-03-17T15:00:00Z", "holiday"), ("2030-03-18T15:00:00Z", "too_far"),
    ])
    func aTimeWhenNobodyWorksIsRefusedWithAlternatives(start: String, code: String) async throws {
        try await Office.open { office in
            _ = try await office.pool.query("insert into holidays (day, name) values ('2027-03-17', 'Founder''s day')")
            try await office.add(.crew, "Crew North")
            let answer = try await office.create(try office.request(startsAt: start, service: "patching"))
            let problem = try answer.problem
            #expect(answer.status == 422)
            #expect(problem.errors.map(\.pointer) == ["/starts_at"] && problem.errors.map(\.code) == [code])
            #expect(problem.alternatives.count == 5)
            let offer = try #require(problem.alternatives.first)
            let accepted = try await office.create(
                JobRequest(
                    customer: Office.customer, site: Office.site, service: "patching", startsAt: offer.startsAt,
                    crew: offer.resource))
            #expect(accepted.status == 201)
        }
    }

    @Test func aStartLeftOpenTakesTheFirstFreeTimeOverTheClockChange() async throws {
        // Friday 15:30 in New York; on Sunday the clock goes forward.
        try await Office.open(now: "2027-03-12T20:30:00Z") { office in
            try await office.addCrewWithMachines("Crew North")
            let first = try await office.create(try office.request(startsAt: nil))
            #expect(try first.job.startsAt == (try instant("2027-03-15T11:00:00Z")))
            let second = try await office.create(try office.request(startsAt: nil))
            #expect(try second.job.startsAt == (try instant("2027-03-16T11:00:00Z")))
        }
    }

    @Test(arguments: [
        // Local opening is 07:00: 12:00Z in winter, 11:00Z in summer.
        ("2027-03-12T12:00:00Z", 201), ("2027-03-12T11:30:00Z", 422), ("2027-03-15T11:00:00Z", 201),
        ("2027-03-15T10:30:00Z", 422), ("2027-11-05T11:00:00Z", 201), ("2027-11-08T11:30:00Z", 422),
        ("2027-11-08T12:00:00Z", 201),
    ])
    func businessHoursFollowTheClockOnTheWall(start: String, status: Int) async throws {
        try await Office.open { office in
            try await office.add(.crew, "Crew North")
            let answer = try await office.create(try office.request(startsAt: start, service: "patching", minutes: 600))
            #expect(answer.status == status)
        }
    }

    @Test func anEmergencyAtNightTakesItsFullTimeOverTheClockChange() async throws {
        try await Office.open { office in
            try await office.add(.crew, "Crew North")
            let answer = try await office.create(
                try office.request(startsAt: "2027-03-14T06:30:00Z", service: "emergency_repair", priority: .emergency))
            let job = try answer.job
            #expect(job.endsAt.timeIntervalSince(job.startsAt) == 7200)
            let taken = try #require(try await office.allocations().first)
            #expect(taken.to.timeIntervalSince(taken.from) == 7200 + 900)
        }
    }

    @Test func bytesThatAreNoCommandAreADecodingError() async throws {
        try await Office.open { office in
            let envelope = Envelope(id: "m", type: .createJob, timestamp: office.now, body: Array("{}".utf8))
            await #expect(throws: DecodingError.self) { try await office.handle(envelope) }
            let other = Envelope(id: "n", type: .jobScheduled, timestamp: office.now, body: [])
            guard case .outcome(.deadLetter(let code, _)) = try await office.handle(other) else {
                Issue.record("an unknown type must be dead-lettered")
                return
            }
            #expect(code == "unknown_type")
        }
    }
}
