import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import Testing

@Suite(.timeLimit(.minutes(2))) struct RepositoryTests {
    @Test func pagesOfJobsHoldEachJobOnce() async throws {
        try await Office.open { office in
            // Several start at the same instant: the id decides between them.
            for name in ["A", "B", "C"] { try await office.add(.crew, "Crew \(name)") }
            for day in 15...18 {
                for _ in 0..<3 {
                    let answer = try await office.create(
                        try office.request(startsAt: "2027-03-\(day)T13:00:00Z", service: "patching"))
                    #expect(answer.status == 201)
                }
            }
            let repository = JobRepository(pool: office.pool)
            var cursor: PageCursor?
            var jobs: [JobView] = []
            repeat {
                let page = try await repository.list(JobFilter(), cursor: cursor, limit: 5)
                #expect(page.items.count <= 5)
                jobs += page.items
                cursor = try page.next.map { try #require(PageCursor(text: $0.text)) }
            } while cursor != nil
            #expect(jobs.count == 12 && Set(jobs.map(\.id)).count == 12)
            #expect(jobs.map(\.startsAt) == jobs.map(\.startsAt).sorted())

            let crew = try #require(jobs[0].crew)
            try await office.cancel(jobs[11].id)
            #expect(try await repository.list(JobFilter(states: [.canceled])).items.map(\.id) == [jobs[11].id])
            let tuesday = JobFilter(from: try instant("2027-03-16T13:00:00Z"), to: try instant("2027-03-17T13:00:00Z"))
            #expect(try await repository.list(tuesday).items.map(\.id) == jobs[3..<6].map(\.id))
            let byCrew = try await repository.list(JobFilter(crew: crew.id)).items
            #expect(!byCrew.isEmpty && byCrew.allSatisfy { $0.crew == crew })
            #expect(try await repository.find(jobs[0].id) == jobs[0])
            #expect(try await repository.find(.make()) == nil)
        }
    }

    @Test func pagesOfConsultationsLeaveOutMergedOnes() async throws {
        try await Office.open { office in
            try await office.add(.estimator, "Alex")
            var ids: [ConsultationID] = []
            for day in 15...19 { ids.append(try await office.addConsultation("2027-03-\(day)T13:00:00Z")) }
            try await office.handle(
                try office.event(.consultationBooked, ids[1], sequence: 0, start: "2027-03-16T13:00:00Z"))
            _ = try await office.pool.query(
                "update consultations set merged_into = \(ids[0].rawValue) where id = \(ids[4].rawValue)")
            let reads = ConsultationReads(pool: office.pool)
            let first = try await reads.list(ConsultationFilter(), limit: 3)
            let second = try await reads.list(ConsultationFilter(), cursor: first.next, limit: 3)
            #expect((first.items + second.items).map(\.id) == Array(ids[0..<4]) && second.next == nil)
            let assigned = try await reads.list(ConsultationFilter(assignments: [.assigned])).items
            #expect(assigned.map(\.id) == [ids[1]])
            let assignee = try #require(assigned.first?.assignee)
            #expect(try await reads.list(ConsultationFilter(assignee: assignee.id)).items == assigned)
            #expect(try await reads.list(ConsultationFilter(states: [.canceled])).items.isEmpty)
            #expect(try await reads.find(ids[4])?.id == ids[4])
        }
    }

    @Test func aCursorComesBackAsItWentAndNothingElseIsOne() throws {
        let cursor = PageCursor(startsAt: Date(timeIntervalSince1970: 1_805_000_000.123456), id: "job_??>>")
        let back = try #require(PageCursor(text: cursor.text))
        #expect(back.id == cursor.id && abs(back.startsAt.timeIntervalSince(cursor.startsAt)) < 0.000001)
        #expect(cursor.text.allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" })
        for text in ["", "x", "!!!!", "MTIz", String(repeating: "A", count: 400)] {
            #expect(PageCursor(text: text) == nil)
        }
    }

    @Test func ofManyEqualRequestsOneIsNew() async throws {
        try await Office.open(poolSize: 12) { office in
            let outcomes = try await withThrowingTaskGroup(of: Persistence.Operation?.self) { group in
                for _ in 0..<50 {
                    group.addTask {
                        try await Operations.insertPending(
                            Persistence.Operation(
                                id: .make(), principal: "key-1", route: "POST /v1/jobs", idempotencyKey: "k",
                                requestHash: "h", messageID: "m", createdAt: office.now),
                            in: office.pool)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.count { $0 == nil } == 1)
            #expect(Set(outcomes.compactMap { $0?.id }).count == 1)
        }
    }

    @Test func anOperationKeepsItsFirstResultAndWakesThoseWhoWait() async throws {
        try await Office.open { office in
            let (_, id) = try await office.command(.createJob) { $0 }
            try await office.pool.withConnection { connection in
                try await connection.listen(Operations.finishedChannel)
                for status in [201, 409] {
                    try await office.pool.withTransaction { transaction in
                        try await Operations.finish(
                            id, with: OperationResult(httpStatus: status, body: Array("{}".utf8), subjectID: "job_x"),
                            at: office.now, in: transaction)
                        // One that is missing is no error.
                        try await Operations.finish(
                            .make(), with: OperationResult(httpStatus: 200, body: Array("{}".utf8)), at: office.now,
                            in: transaction)
                    }
                }
                #expect(try await connection.nextNotification()?.payload == id.rawValue)
            }
            let operation = try #require(try await Operations.find(id, in: office.pool))
            #expect(operation.status == .succeeded && operation.httpStatus == 201 && operation.subjectID == "job_x")
            #expect(operation.finishedAt == office.now)
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct ResourceImportTests {
    @Test func anImportAddsChangesAndLeavesAlone() async throws {
        try await Office.open { office in
            func run(_ json: String) async throws -> ResourceImport.Summary {
                let file = try ResourceImport(json: Array(json.utf8))
                return try await office.pool.withTransaction { transaction in
                    _ = try await transaction.query("set local role neff_operator")
                    return try await file.apply(
                        ChangeNote(actor: "somebody", source: .bulkImport, at: office.now), in: transaction)
                }
            }
            let file = #"""
                {"resources": [
                    {"kind": "crew", "name": "Crew North", "email": "north@example.com", "skills": ["b", "a"]},
                    {"kind": "equipment", "name": "Paver 1", "equipment_type": "paver", "active": false},
                    {"kind": "estimator", "name": "Dana", "calendly_user": "u/DANA", "email": null}]}
                """#
            #expect(try await run(file) == ResourceImport.Summary(added: 3))
            #expect(try await run(file) == ResourceImport.Summary(unchanged: 3))
            let id = try await office.resource("Crew North")
            let changed = file.replacing("north@", with: "n@").replacing("false", with: "true")
            #expect(try await run(changed) == ResourceImport.Summary(changed: 2, unchanged: 1))
            #expect(try await office.resource("Crew North") == id)
            let row = try #require(
                try await office.pool.query("select email, skills from resources where name = 'Crew North'").first)
            #expect(try row.decode("email", as: String.self) == "n@example.com")
            #expect(try row.decode("skills", as: [String].self) == ["a", "b"])
        }
    }

    @Test func anImportKnowsPeopleYardsShiftsAndPapers() async throws {
        try await Office.open { office in
            func run(_ json: String) async throws -> ResourceImport.Summary {
                let file = try ResourceImport(json: Array(json.utf8))
                return try await office.pool.withTransaction { transaction in
                    _ = try await transaction.query("set local role neff_operator")
                    return try await file.apply(
                        ChangeNote(actor: "somebody", source: .bulkImport, at: office.now), in: transaction)
                }
            }
            let yard = YardID.make()
            _ = try await office.pool.query("insert into yards (id, name) values (\(yard.rawValue), 'Main')")
            let file = #"""
                {"resources": [
                    {"kind": "crew_member", "name": "Jo", "crew": "Crew North", "role": "foreman",
                     "certifications": [{"name": "cdl", "number": "OH-1", "expires_on": "2028-06-30"}],
                     "shifts": [{"weekday": 1, "from": "06:30", "to": "15:30"}]},
                    {"kind": "crew", "name": "Crew North", "yard": "Main"},
                    {"kind": "equipment", "name": "Paver 1", "equipment_type": "paver", "status": "in_service"}]}
                """#
            #expect(try await run(file) == ResourceImport.Summary(added: 3))
            #expect(try await run(file) == ResourceImport.Summary(unchanged: 3))
            let crew = try #require(try await office.resource("Crew North"))
            let jo = try #require(try await office.resource("Jo"))
            let member = try #require(
                try await office.pool.withTransaction {
                    try await ResourceTable(.crewMember).find(jo.rawValue, isLocked: false, in: $0)
                })
            #expect(member.crew == crew && member.role == "foreman" && member.version == 1)
            #expect(
                member.certifications == [
                    Certification(name: "cdl", number: "OH-1", expiresOn: LocalDay("2028-06-30"))
                ])
            #expect(member.shifts?.map(\.from.description) == ["06:30"])

            // What a file does not mention stays: no import puts a machine to work that is at the workshop.
            let less = #"""
                {"resources": [
                    {"kind": "crew_member", "name": "Jo", "shifts": null},
                    {"kind": "equipment", "name": "Paver 1", "equipment_type": "paver"}]}
                """#
            #expect(try await run(less) == ResourceImport.Summary(changed: 1, unchanged: 1))
            #expect(
                try await office.count("select count(*) from resources where status = 'in_service'") == 1)
            #expect(
                try await office.count(
                    """
                    select count(*) from resources where name = 'Jo' and crew = \(crew.rawValue) and shifts = '[]'
                        and certifications <> '[]' and version = 2
                    """) == 1)
            #expect(
                try await office.count(
                    """
                    select count(*) from change_log where subject_kind = 'crew_member' and source = 'bulk_import'
                        and actor = 'somebody'
                    """) == 2)

            for (resource, fault) in [
                (#"{"kind": "crew", "name": "A", "yard": "Moon"}"#, "crew A: yard: there is no yard Moon."),
                (
                    #"{"kind": "crew_member", "name": "A", "crew": "Moon"}"#,
                    "crew_member A: crew: there is no crew Moon."
                ),
            ] {
                let error = await #expect(throws: ResourceImport.Invalid.self) {
                    try await run(#"{"resources": [\#(resource)]}"#)
                }
                #expect(error?.faults == [fault])
            }
            _ = try await office.pool.query("update resources set name = 'Crew Nord' where id = \(crew.rawValue)")
            let renamed = await #expect(throws: ResourceImport.Invalid.self) {
                try await run(#"{"resources": [{"kind": "crew", "name": "Crew North"}]}"#)
            }
            #expect(renamed?.faults == ["crew Crew North: name: is called Crew Nord now; correct the file."])
        }
    }

    @Test func aDetailThatCannotBeIsNamed() {
        let json = #"""
            {"resources": [
                {"kind": "crew", "name": "A", "status": "broken", "role": "x"},
                {"kind": "equipment", "name": "B", "equipment_type": "x", "shifts": []},
                {"kind": "crew", "name": "C", "certifications": [{"expires_on": "soon"}], "shifts": [{"weekday": 8}]},
                {"kind": "crew", "name": "D", "certifications": "x"}]}
            """#
        let error = #expect(throws: ResourceImport.Invalid.self) { try ResourceImport(json: Array(json.utf8)) }
        #expect(
            error?.faults.map { $0.prefix { $0 != ":" } } == [
                "resources[0].status", "resources[0].crew, role", "resources[0].status",
                "resources[1].certifications, shifts", "resources[2].certifications[0].name",
                "resources[2].certifications[0].expires_on", "resources[2].shifts[0]", "resources[3].certifications",
            ])
    }

    @Test func everyFaultOfAFileIsNamed() {
        let json = #"""
            {"resources": [
                {"kind": "dog", "name": "Rex"},
                {"kind": "crew", "name": " ", "colour": "red"},
                {"kind": "crew", "name": "A", "equipment_type": "paver", "skills": "x", "active": 1},
                {"kind": "equipment", "name": "P"},
                {"kind": "crew", "name": "B", "time_zone": "Ohio", "email": "nobody"},
                {"kind": "crew", "name": "B", "phone": 7}], "extra": 1}
            """#
        let error = #expect(throws: ResourceImport.Invalid.self) { try ResourceImport(json: Array(json.utf8)) }
        #expect(
            error?.faults.map { $0.prefix { $0 != ":" } } == [
                "extra", "resources[0].kind", "resources[1].colour", "resources[1].name", "resources[2].skills",
                "resources[2].active", "resources[2].equipment_type", "resources[3].equipment_type",
                "resources[4].time_zone", "resources[4].email", "resources[5].phone", "resources[5].name",
            ])
        for text in ["", "[]", "{}", #"{"resources": {}}"#, #"{"resources": [1]}"#] {
            #expect(throws: ResourceImport.Invalid.self) { try ResourceImport(json: Array(text.utf8)) }
        }
    }
}
