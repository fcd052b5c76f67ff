import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import Testing

/// What people configure, and what the scheduler makes of it.
@Suite(.timeLimit(.minutes(1))) struct ResourceRuleTests {
    private static func note(_ office: Office, _ reason: String? = nil) -> ChangeNote {
        ChangeNote(actor: "Front office", source: .staffAPI, reason: reason, requestID: "req-1", at: office.now)
    }

    private static func away(
        _ office: Office, _ resource: ResourceID, _ from: String, _ to: String, kind: AbsenceKind = .timeOff,
        reason: String = "vacation"
    ) async throws -> Absence {
        let during = Interval(start: try instant(from), end: try instant(to))
        return try await office.pool.withTransaction { transaction in
            _ = try await transaction.query("set local role neff_ingress")
            return try await AbsenceTable(kind).add(
                resource, during: during, reason: reason, id: .make(), note(office, reason), in: transaction)
        }
    }

    @Test func nobodyIsBookedOverTimeOffWhoeverWrites() async throws {
        try await Office.open { office in
            let crew = try await office.addCrewWithMachines("Crew North")
            let absence = try await Self.away(office, crew, "2027-03-16T04:00:00Z", "2027-03-17T04:00:00Z")
            // Not by plain SQL...
            let error = await #expect(throws: PostgresError.self) {
                try await office.occupy(crew, "2027-03-16T13:00:00Z", "2027-03-16T14:00:00Z")
            }
            #expect(error?.isOverlap == true)
            // ...and not by the scheduler, which says why.
            let answer = try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z"))
            #expect(answer.status == 409)
            #expect(
                try answer.problem.conflicts.map(\.reason) == [
                    "Crew North is off (vacation) 2027-03-16 00:00 to 2027-03-17 00:00 EDT"
                ])
            #expect(
                try answer.problem.alternatives.allSatisfy {
                    $0.startsAt < absence.startsAt || $0.startsAt >= absence.endsAt
                })
            // Taken back, it is out of the way, and stays on record.
            _ = try await office.pool.withTransaction { transaction in
                _ = try await transaction.query("set local role neff_ingress")
                return try await AbsenceTable(.timeOff).cancel(
                    absence.key, expected: 1, Self.note(office), in: transaction)
            }
            #expect(try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z")).status == 201)
            let log = try await office.pool.query(
                """
                select change_type, actor, reason, request_id, before is null as is_new from change_log
                where subject_kind = 'time_off' and subject_id = \(absence.key) order by id
                """)
            #expect(try log.map { try $0.decode("change_type", as: String.self) } == ["created", "canceled"])
            #expect(try log.map { try $0.decode("is_new", as: Bool.self) } == [true, false])
            #expect(try log[0].decode("actor", as: String.self) == "Front office")
            #expect(try log[0].decode("reason", as: String.self) == "vacation")
            #expect(try log[0].decode("request_id", as: String.self) == "req-1")
        }
    }

    @Test func timeOffOverBookingsIsRefusedWithEachOfThem() async throws {
        try await Office.open { office in
            let crew = try await office.addCrewWithMachines("Crew North")
            let alex = try await office.add(.estimator, "Alex")
            let job = try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z")).job
            let consultation = try await office.addConsultation("2027-03-17T13:00:00Z")
            try await office.handle(
                try office.event(.consultationBooked, consultation, sequence: 0, start: "2027-03-17T13:00:00Z"))
            let problem = try await #require(throws: Problem.self) {
                try await Self.away(office, crew, "2027-03-16T04:00:00Z", "2027-03-18T04:00:00Z")
            }
            #expect(problem.status == 409 && problem.type == "schedule-conflict")
            #expect(problem.detail?.contains("Move or cancel") == true)
            let booking = try #require(problem.conflicts.first?.booking)
            #expect(problem.conflicts.count == 1 && booking.kind == "job" && booking.id == job.id.rawValue)
            #expect(booking.name == "Residential paving \(job.number)" && booking.customer == "Ann Example")
            #expect(booking.startsAt == (try instant("2027-03-16T12:30:00Z")), "buffers included")
            let other = try await #require(throws: Problem.self) {
                try await Self.away(office, alex, "2027-03-17T00:00:00Z", "2027-03-18T00:00:00Z")
            }
            #expect(other.conflicts.map { $0.booking?.kind } == ["consultation"])
            #expect(other.conflicts.map { $0.booking?.id } == [consultation.rawValue])
            #expect(try await office.count("select count(*) from absences") == 0)
            #expect(try await office.count("select count(*) from change_log where subject_kind = 'time_off'") == 0)
        }
    }

    @Test func anAbsenceIsForSomebodyOfTheRightKindAndOnce() async throws {
        try await Office.open { office in
            let crew = try await office.add(.crew, "Crew North")
            let roller = try await office.add(.equipment, "Roller 1", type: "roller")
            let (from, to) = ("2027-03-16T04:00:00Z", "2027-03-17T04:00:00Z")
            for (resource, kind) in [(roller, AbsenceKind.timeOff), (crew, .maintenance), (.make(), .timeOff)] {
                let problem = try await #require(throws: Problem.self) {
                    try await Self.away(office, resource, from, to, kind: kind)
                }
                #expect(problem.errors.map(\.pointer) == ["/resource"])
            }
            _ = try await Self.away(office, crew, from, to)
            let twice = try await #require(throws: Problem.self) { try await Self.away(office, crew, from, to) }
            #expect(twice.errors.map(\.code) == ["already_away"])
        }
    }

    @Test(arguments: 0..<5)
    func ofABookingAndATimeOffAtOnceOneWins(round: Int) async throws {
        try await Office.open(poolSize: 8) { office in
            let crew = try await office.addCrewWithMachines("Crew North")
            let request = try office.request(startsAt: "2027-03-16T13:00:00Z")
            async let booked = office.create(request).status
            async let off = Result { try await Self.away(office, crew, "2027-03-16T04:00:00Z", "2027-03-17T04:00:00Z") }
            let (status, absence) = (try await booked, await off)
            let isAway = (try? absence.get()) != nil
            #expect((status == 201) != isAway)
            if case .failure(let error) = absence { #expect((error as? Problem)?.status == 409) }
            #expect(try await office.overlaps() == 0)
        }
    }

    @Test func aMachineThatIsNotAvailableOrInMaintenanceIsNotSent() async throws {
        try await Office.open { office in
            try await office.addCrewWithMachines("Crew North")
            let paver = try #require(try await office.resource("Paver of Crew North"))
            let roller = try #require(try await office.resource("Roller of Crew North"))
            _ = try await office.pool.query("update resources set status = 'in_service' where id = \(paver.rawValue)")
            let refused = try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z"))
            #expect(refused.status == 422)
            #expect(try refused.problem.errors.map(\.code) == ["resource_missing"])
            #expect(try refused.problem.conflicts.map(\.reason) == ["Paver of Crew North is at the workshop"])
            _ = try await office.pool.query("update resources set status = 'available' where id = \(paver.rawValue)")
            _ = try await Self.away(
                office, roller, "2027-03-16T12:00:00Z", "2027-03-16T16:00:00Z", kind: .maintenance, reason: "oil")
            let answer = try await office.create(try office.request(startsAt: "2027-03-16T13:00:00Z"))
            #expect(
                try answer.problem.conflicts.map(\.reason) == [
                    "Roller of Crew North is in maintenance (oil) 08:00-12:00 EDT"
                ])
        }
    }

    /// The worker sees the paver as available, waits for whoever holds its row, and finds it at the workshop.
    @Test func aMachineThatBreaksWhileItIsChosenIsNotSent() async throws {
        try await Office.open { office in
            try await office.addCrewWithMachines("Crew North")
            try await office.add(.equipment, "Z Paver", type: "paver")
            let paver = try #require(try await office.resource("Paver of Crew North"))
            let request = try office.request(startsAt: "2027-03-16T13:00:00Z")
            let handling = try await office.pool.withTransaction { transaction in
                _ = try await transaction.query(
                    "update resources set status = 'out_of_service' where id = \(paver.rawValue)")
                let handling = Task { try await office.create(request) }
                while try await office.count("select count(*) from pg_locks where not granted") == 0 {
                    await Task.yield()
                }
                return handling
            }
            #expect(try await handling.value.job.equipment.map(\.name).sorted() == ["Roller of Crew North", "Z Paver"])
        }
    }

    /// A writer without locks has inserted and not yet committed: only the constraint sees it, and the answer names it.
    @Test func timeOffIsRefusedForABookingThatComesMeanwhile() async throws {
        try await Office.open { office in
            let crew = try await office.add(.crew, "Crew North")
            let adding = try await office.pool.withTransaction { transaction in
                _ = try await transaction.query(
                    """
                    insert into allocations (resource_id, during, subject_kind, subject_id)
                    values (\(crew.rawValue), '[2027-03-16 14:00Z,2027-03-16 15:00Z)', 'job', 'elsewhere')
                    """)
                let adding = Task {
                    try await Self.away(office, crew, "2027-03-16T04:00:00Z", "2027-03-17T04:00:00Z")
                }
                while try await office.count("select count(*) from pg_locks where not granted") == 0 {
                    await Task.yield()
                }
                return adding
            }
            let problem = try await #require(throws: Problem.self) { try await adding.value }
            #expect(problem.status == 409 && problem.conflicts.map { $0.booking?.id } == ["elsewhere"])
            #expect(try await office.count("select count(*) from absences") == 0)
        }
    }

    @Test func shiftsSkillsCertificatesAndSizeDecideWhoGoes() async throws {
        try await Office.open { office in
            _ = try await office.pool.query(
                "update service_types set skills = '{milling}', crew_size = 2 where code = 'patching'")
            func crew(_ name: String, set change: SQL) async throws -> ResourceID {
                let id = try await office.add(.crew, name)
                _ = try await office.pool.query("update resources set \(change) where id = \(id.rawValue)")
                return id
            }
            func member(_ name: String, of crew: ResourceID, skills: [String] = []) async throws -> ResourceID {
                let id = try await office.add(.crewMember, name, skills: skills)
                _ = try await office.pool.query(
                    "update resources set crew = \(crew.rawValue) where id = \(id.rawValue)")
                return id
            }
            _ = try await office.add(.crew, "A Unskilled")
            _ = try await crew(
                "B Night", set: #"skills = '{milling}', shifts = '[{"weekday": 2, "from": "20:00", "to": "04:00"}]'"#)
            _ = try await crew(
                "C Expired",
                set: #"skills = '{milling}', certifications = '[{"name": "milling", "expires_on": "2027-03-15"}]'"#)
            let small = try await crew("D Small", set: "skills = '{milling}'")
            _ = try await member("D1", of: small)
            let thin = try await crew("E Thin", set: "skills = '{}'")
            let one = try await member("E1", of: thin, skills: ["milling"])
            _ = try await member("E2", of: thin)
            _ = try await Self.away(office, one, "2027-03-16T15:00:00Z", "2027-03-16T16:00:00Z", reason: "dentist")

            let refused = try await office.create(
                try office.request(startsAt: "2027-03-16T13:00:00Z", service: "patching"))
            #expect(refused.status == 409)
            #expect(
                try refused.problem.conflicts.map(\.reason).sorted() == [
                    "A Unskilled lacks the skill milling",
                    "B Night does not work at that time",
                    "C Expired has no valid certificate for milling: the last one expired on 2027-03-15",
                    "D Small has 1 person, 2 are needed",
                    "E Thin has nobody there with the skill milling",
                ])
            // An hour later the one with the skill is back, and the day before the certificate counts.
            let later = try await office.create(
                try office.request(startsAt: "2027-03-16T16:00:00Z", service: "patching")
            )
            #expect(try later.job.crew?.name == "E Thin")
            let before = try await office.create(
                try office.request(startsAt: "2027-03-15T16:00:00Z", service: "patching"))
            #expect(try before.job.crew?.name == "C Expired")
            // Whom somebody asks for by name is judged by the same rules.
            let asked = try await office.create(
                try office.request(startsAt: "2027-03-18T13:00:00Z", service: "patching", crew: small))
            #expect(try asked.problem.errors.map(\.code) == ["crew_too_small"])
        }
    }

    @Test func anEstimatorOutOfShiftDoesNotGo() async throws {
        try await Office.open { office in
            let alex = try await office.add(.estimator, "Alex")
            _ = try await office.pool.query(
                """
                update resources set shifts = '[{"weekday": 2, "from": "07:00", "to": "12:00"}]'
                where id = \(alex.rawValue)
                """)
            let id = try await office.addConsultation("2027-03-16T17:00:00Z")
            try await office.handle(
                try office.event(.consultationBooked, id, sequence: 0, start: "2027-03-16T17:00:00Z"))
            let view = try await office.consultation(id)
            #expect(view.assignment == .unassigned && view.reasons == ["Alex does not work at that time."])
            let clock = try #require(SiteClock(identifier: "America/New_York"))
            #expect(!view.alternatives.isEmpty)
            #expect(view.alternatives.allSatisfy { SiteClock.weekday(of: clock.day(of: $0.startsAt)) == 2 })
            #expect(view.alternatives.allSatisfy { clock.timeText($0.endsAt) <= "12:00" })
        }
    }

    @Test func aWithdrawnServiceTakesNoNewJobsAndKeepsTheOldOnes() async throws {
        try await Office.open { office in
            try await office.add(.crew, "Crew North")
            let job = try await office.create(
                try office.request(startsAt: "2027-03-16T13:00:00Z", service: "patching")
            ).job
            _ = try await office.pool.query("update service_types set active = false where code = 'patching'")
            let refused = try await office.create(
                try office.request(startsAt: "2027-03-18T13:00:00Z", service: "patching"))
            #expect(try refused.problem.errors.map(\.code) == ["withdrawn_service"])
            #expect(try await office.reschedule(job.id, to: "2027-03-17T13:00:00Z").status == 200)
        }
    }

    @Test func theSchemaRefusesWhatNoResourceCanBe() async throws {
        try await Office.open { office in
            let crew = try await office.add(.crew, "Crew North")
            for (change, constraint) in [
                ("status = 'in_service'", "resources_status_of_machines"),
                ("role = 'foreman'", "resources_members_only"),
                ("shifts = '{}'", "resources_lists_are_lists"), ("yard = 'yrd_x'", "resources_yard_exists"),
            ] {
                let error = await #expect(throws: PostgresError.self) {
                    try await office.pool.query(
                        "update resources set \(unescaped: change) where id = \(crew.rawValue)")
                }
                #expect(error?.constraint == constraint, "\(change)")
            }
        }
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}
