import Domain
import Foundation
import Ingress
import Persistence
import Postgres
import TestSupport
import Testing
import Transport

/// What people configure through the API, against a real database.
@Suite(.timeLimit(.minutes(2))) struct ConfigurationAPITests {
    @Test func aCrewIsAddedChangedAndDeactivatedOnRecord() async throws {
        try await withConfiguration { ingress, pool in
            let yard = try await ingress.addID("/v1/yards", #"{"name":"Main","latitude":39.94,"longitude":-82.01}"#)
            let added = try await ingress.send(
                "POST", "/v1/crews", headers: [("Idempotency-Key", "one"), ("X-Request-Id", "req-7")],
                body: """
                    {"name":"Crew North","email":"north@example.com","yard":"\(yard)","skills":["b","a","b"],
                     "certifications":[{"name":"a","number":"A-1","expires_on":"2028-06-30"}],
                     "shifts":[{"weekday":1,"from":"06:30","to":"15:30"}],"reason":"Season begins"}
                    """)
            #expect(added.status == 201 && added.headers["ETag"] == "\"1\"", "\(added.text)")
            let id = try #require(try added.json["id"] as? String)
            let path = "/v1/crews/\(id)"
            #expect(added.headers["Location"] == path)
            #expect(try added.json["skills"] as? [String] == ["a", "b"])

            let read = try await ingress.send("GET", path)
            #expect(read.body == added.body && read.headers["ETag"] == "\"1\"")
            #expect(try await ingress.send("GET", path, headers: [("If-None-Match", "\"1\"")]).status == 304)

            let change = #"{"email":null,"skills":["c"],"reason":"Trained"}"#
            let blind = try await ingress.send("PATCH", path, body: change)
            #expect(blind.status == 428 && blind.problemType == "precondition-required")
            let stale = try await ingress.send("PATCH", path, headers: [("If-Match", "\"2\"")], body: change)
            #expect(stale.status == 412 && stale.problemType == "version-mismatch")
            let changed = try await ingress.send(
                "PATCH", path, headers: [("If-Match", "\"1\""), ("X-Request-Id", "req-8")], body: change)
            #expect(changed.status == 200 && changed.headers["ETag"] == "\"2\"", "\(changed.text)")
            #expect(try changed.json["email"] == nil && changed.json["skills"] as? [String] == ["c"])
            #expect(try changed.json["yard"] as? String == yard, "what is left out stays")
            #expect((try changed.json["shifts"] as? [[String: Any]])?.count == 1)
            // What changes nothing is no new version.
            let same = try await ingress.send("PATCH", path, headers: [("If-Match", "\"2\"")], body: change)
            #expect(same.headers["ETag"] == "\"2\"")

            let ended = try await ingress.send(
                "DELETE", path, headers: [("If-Match", "*")], body: #"{"reason":"Sold"}"#)
            #expect(try ended.status == 200 && ended.json["active"] as? Bool == false)
            #expect(try await ingress.items("/v1/crews?active=true").isEmpty)
            #expect(try await ingress.items("/v1/crews?active=false").count == 1)

            let log = try await pool.query(
                """
                select change_type, reason, request_id, actor, source, before->>'email' as old, after->>'email' as new,
                    after->>'version' as version
                from change_log where subject_kind = 'crew' and subject_id = \(id) order by id
                """)
            #expect(
                try log.map { try $0.decode("change_type", as: String.self) } == [
                    "created", "details_changed", "deactivated",
                ])
            #expect(try log.map { try $0.decode("reason", as: String.self) } == ["Season begins", "Trained", "Sold"])
            #expect(try log[1].decode("request_id", as: String.self) == "req-8")
            #expect(try log[1].decode("actor", as: String.self) == "Front office")
            #expect(try log[1].decode("source", as: String.self) == "staff_api")
            #expect(try log[1].decode("old", as: String?.self) == "north@example.com")
            #expect(try log[1].decode("new", as: String?.self) == nil)
            #expect(try log.map { try $0.decode("version", as: String.self) } == ["1", "2", "3"])
        }
    }

    @Test func aRequestSaidTwiceIsDoneOnce() async throws {
        try await withConfiguration { ingress, pool in
            let body = #"{"name":"Crew North","skills":["a"]}"#
            let answers = try await withThrowingTaskGroup(of: HTTPResponse.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        try await ingress.send("POST", "/v1/crews", headers: [("Idempotency-Key", "k")], body: body)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.allSatisfy { $0.status == 201 }, "\(answers.map(\.text))")
            let ids = try answers.compactMap { try $0.json["id"] as? String }
            #expect(ids.count == 8 && Set(ids).count == 1)
            #expect(answers.count { $0.headers["Idempotent-Replayed"] == "true" } == 7)
            #expect(answers.allSatisfy { $0.headers["Location"] == answers[0].headers["Location"] })
            #expect(try await pool.count("select count(*) from resources") == 1)
            #expect(try await pool.count("select count(*) from change_log") == 1)
            // Order of fields and white space do not matter; what is asked for does.
            let again = try await ingress.send(
                "POST", "/v1/crews", headers: [("Idempotency-Key", "k")],
                body: #"{"skills": ["a"], "name":"Crew North"}"#)
            #expect(again.status == 201 && again.headers["Idempotent-Replayed"] == "true")
            #expect(again.headers["ETag"] == "\"1\"")
            let other = try await ingress.send(
                "POST", "/v1/crews", headers: [("Idempotency-Key", "k")], body: #"{"name":"Crew South"}"#)
            #expect(other.status == 422 && other.problemType == "idempotency-key-reused")
            let none = try await ingress.send("POST", "/v1/crews", body: body)
            #expect(none.status == 400 && none.problemType == "idempotency-key-missing")
        }
    }

    @Test func aDryRunAnswersAsTheRealOneAndKeepsNothing() async throws {
        try await withConfiguration { ingress, pool in
            let tried: [(String, String)] = [("Prefer", "dry-run"), ("Idempotency-Key", "k")]
            let body = #"{"name":"Crew North"}"#
            let trial = try await ingress.send("POST", "/v1/crews", headers: tried, body: body)
            #expect(trial.status == 201 && trial.headers["Preference-Applied"] == "dry-run")
            #expect(trial.headers["Location"] == nil)
            for table in ["resources", "change_log", "operations"] {
                #expect(try await pool.count("select count(*) from \(identifier: table)") == 0, "\(table)")
            }
            let real = try await ingress.send("POST", "/v1/crews", headers: [tried[1]], body: body)
            #expect(real.status == 201 && real.headers["Preference-Applied"] == nil)
            #expect(real.headers["Idempotent-Replayed"] == nil && real.body == trial.body)
            let path = try #require(real.headers["Location"])
            let patched = try await ingress.send(
                "PATCH", path, headers: [("Prefer", "dry-run"), ("If-Match", "\"1\"")], body: #"{"name":"Crew South"}"#)
            #expect(try patched.headers["ETag"] == "\"2\"" && patched.json["name"] as? String == "Crew South")
            let gone = try await ingress.send(
                "DELETE", path, headers: [("Prefer", "dry-run"), ("If-Match", "\"1\"")])
            #expect(try gone.json["active"] as? Bool == false)
            #expect(try await ingress.send("GET", path).body == real.body)
            // It fails where the real one would.
            let taken = try await ingress.send(
                "POST", "/v1/crews", headers: [("Prefer", "dry-run"), ("Idempotency-Key", "l")], body: body)
            #expect(taken.status == 422 && taken.invalidFields == ["/name"])
        }
    }

    @Test(arguments: [
        (
            "/v1/crews",
            #"""
            {"email":"x","time_zone":"Ohio","active":1,"yard":"res_x","shifts":[{"weekday":8,"from":"7","to":"24:00"},7],
             "certifications":[{"number":"1","expires_on":"2027-02-30"}],"skills":[""],"colour":"red"}
            """#,
            [
                "/active", "/certifications/0/expires_on", "/certifications/0/name", "/colour", "/email", "/name",
                "/shifts/0/from", "/shifts/0/weekday", "/shifts/1", "/skills/0", "/time_zone", "/yard",
            ]
        ),
        ("/v1/crews", #"{"name":"x","equipment_type":"paver"}"#, ["/equipment_type"]),
        (
            "/v1/equipment", #"{"name":"x","status":"broken","skills":[],"shifts":[]}"#,
            ["/equipment_type", "/shifts", "/skills", "/status"]
        ),
        ("/v1/crew-members", #"{"name":"x","crew":"x","role":7}"#, ["/crew", "/role"]),
        ("/v1/crew-members", #"{"name":"x","crew":"res_01KZJ9ZQ8T4X5N7B2C3D6E8F9G"}"#, ["/crew"]),
        ("/v1/equipment", #"{"name":"x","equipment_type":"paver","yard":"yrd_01KZJ9ZQ8T4X5N7B2C3D6E8F9G"}"#, ["/yard"]),
        ("/v1/yards", #"{"name":"x","latitude":91}"#, ["/latitude"]),
        ("/v1/yards", #"{"name":"x","latitude":39}"#, ["/longitude"]),
        (
            "/v1/service-types", #"{"code":"Big Job","category":"x","duration_minutes":5,"crew_size":0}"#,
            ["/category", "/code", "/crew_size", "/duration_minutes", "/name"]
        ),
        (
            "/v1/service-types",
            #"{"code":"patching","name":"Patching","category":"maintenance","duration_minutes":60}"#, ["/code"]
        ),
        ("/v1/holidays", #"{"day":"2027-02-29","name":"x"}"#, ["/day"]),
        (
            "/v1/time-off", #"{"starts_at":"2027-03-16","ends_at":"2027-03-17T00:00:00Z"}"#,
            ["/reason", "/resource", "/starts_at"]
        ),
        (
            "/v1/maintenance",
            """
            {"resource":"res_01KZJ9ZQ8T4X5N7B2C3D6E8F9G","starts_at":"2027-03-16T00:00:00Z",
             "ends_at":"2027-03-16T00:00:00Z","reason":"oil"}
            """, ["/ends_at"]
        ),
    ])
    func everyInvalidFieldIsNamed(path: String, body: String, fields: [String]) async throws {
        try await withConfiguration { ingress, pool in
            let response = try await ingress.send("POST", path, headers: [("Idempotency-Key", "k")], body: body)
            #expect(response.status == 422 && response.problemType == "validation", "\(response.text)")
            #expect(response.invalidFields == fields)
            // Nothing was stored, so the key may be used again.
            #expect(try await pool.count("select count(*) from operations") == 0)
            #expect(try await pool.count("select count(*) from change_log") == 0)
        }
    }

    @Test func whatMustBeThereCannotBeCleared() async throws {
        try await withConfiguration { ingress, _ in
            let id = try await ingress.addID("/v1/equipment", #"{"name":"Roller 1","equipment_type":"roller"}"#)
            let response = try await ingress.send(
                "PATCH", "/v1/equipment/\(id)", headers: [("If-Match", "\"1\"")],
                body: #"{"name":null,"equipment_type":null,"status":null,"time_zone":null,"active":null}"#)
            #expect(response.invalidFields == ["/active", "/equipment_type", "/name", "/status", "/time_zone"])
            // Another kind's path does not lead to it.
            #expect(try await ingress.send("GET", "/v1/crews/\(id)").status == 404)
            for path in ["/v1/crews/x", "/v1/yards/x", "/v1/holidays/x", "/v1/service-types/x", "/v1/time-off/x"] {
                let response = try await ingress.send("GET", path)
                #expect(response.status == 404 && response.problemType == "not-found", "\(path)")
            }
        }
    }

    @Test func aListGoesPageByPageAndByFilter() async throws {
        try await withConfiguration { ingress, _ in
            for name in ["Roller 2", "Paver 1", "Roller 1", "Truck 1", "Roller 3"] {
                let type = name.split(separator: " ")[0].lowercased()
                try await ingress.add("/v1/equipment", #"{"name":"\#(name)","equipment_type":"\#(type)"}"#)
            }
            func names(_ path: String) async throws -> [String] {
                try await ingress.items(path).compactMap { $0["name"] as? String }
            }
            #expect(try await names("/v1/equipment") == ["Paver 1", "Roller 1", "Roller 2", "Roller 3", "Truck 1"])
            var path: String? = "/v1/equipment?equipment_type=roller&limit=2"
            var seen: [[String]] = []
            while let next = path {
                seen.append(try await names(next))
                let response = try await ingress.send("GET", next)
                let link = response.headers["Link"]
                let cursor = try response.json["next_cursor"] as? String
                #expect((link == nil) == (cursor == nil))
                path = link.map { String($0.dropFirst().prefix { $0 != ">" }) }
                if let link, let cursor {
                    #expect(link == "</v1/equipment?equipment_type=roller&limit=2&cursor=\(cursor)>; rel=\"next\"")
                }
            }
            #expect(seen == [["Roller 1", "Roller 2"], ["Roller 3"]])
            #expect(try await names("/v1/equipment?q=LLER%202") == ["Roller 2"])
            #expect(try await names("/v1/equipment?status=in_service,out_of_service").isEmpty)
            for query in [
                "cursor=x", "cursor=WyJhIiwiXHUwMDAwIl0", "limit=0", "status=broken", "skill=x", "active=maybe",
                "yard=x",
            ] {
                let response = try await ingress.send("GET", "/v1/equipment?\(query)")
                #expect(response.status == 400 && response.problemType == "malformed-request", "\(query)")
            }
        }
    }

    @Test func aCrewKnowsItsPeople() async throws {
        try await withConfiguration { ingress, _ in
            let crew = try await ingress.addID("/v1/crews", #"{"name":"Crew North"}"#)
            let member = try await ingress.addID(
                "/v1/crew-members", #"{"name":"Jo Sample","crew":"\#(crew)","role":"foreman"}"#)
            try await ingress.add("/v1/crew-members", #"{"name":"Kim Sample"}"#)
            let response = try await ingress.send("GET", "/v1/crews/\(crew)")
            let members = try #require(try response.json["members"] as? [[String: String]])
            #expect(members == [["id": member, "name": "Jo Sample"]])
            #expect(try await ingress.items("/v1/crew-members?crew=\(crew)").count == 1)
        }
    }

    @Test func businessHoursAreReplacedAsAWeek() async throws {
        try await withConfiguration { ingress, pool in
            let before = try await ingress.send("GET", "/v1/business-hours")
            #expect(before.headers["ETag"] == "\"1\"")
            #expect((try before.json["days"] as? [Any])?.count == 5)
            let week =
                #"{"days":[{"weekday":6,"opens":"08:00","closes":"24:00"},{"weekday":1,"opens":"06:30","closes":"18:00"}]}"#
            #expect(try await ingress.send("PUT", "/v1/business-hours", body: week).status == 428)
            let after = try await ingress.send(
                "PUT", "/v1/business-hours", headers: [("If-Match", "\"1\"")], body: week)
            #expect(after.status == 200 && after.headers["ETag"] == "\"2\"", "\(after.text)")
            #expect(try await ingress.send("GET", "/v1/business-hours").body == after.body)
            #expect(try await pool.count("select count(*) from business_hours where weekday in (1, 6)") == 2)
            #expect(try await pool.count("select count(*) from business_hours") == 2)
            for body in [
                "{}", #"{"days":[{"weekday":1,"opens":"08:00","closes":"08:00"}]}"#,
                #"{"days":[{"weekday":1,"opens":"08:00","closes":"09:00"},{"weekday":1,"opens":"08:00","closes":"09:00"}]}"#,
            ] {
                let response = try await ingress.send(
                    "PUT", "/v1/business-hours", headers: [("If-Match", "*")], body: body)
                #expect(response.status == 422, "\(body)")
            }
        }
    }

    @Test func holidaysAndPoliciesAreChanged() async throws {
        try await withConfiguration { ingress, pool in
            try await ingress.add("/v1/holidays", #"{"day":"2027-07-05","name":"Independence Day"}"#)
            try await ingress.add("/v1/holidays", #"{"day":"2027-12-24","name":"Christmas Eve"}"#)
            let twice = try await ingress.send(
                "POST", "/v1/holidays", headers: [("Idempotency-Key", "k")], body: #"{"day":"2027-07-05","name":"x"}"#)
            #expect(twice.invalidFields == ["/day"])
            #expect(try await ingress.items("/v1/holidays?from=2027-07-06").count == 1)
            #expect(try await ingress.send("DELETE", "/v1/holidays/2027-07-05").status == 428)
            let gone = try await ingress.send("DELETE", "/v1/holidays/2027-07-05", headers: [("If-Match", "\"1\"")])
            #expect(gone.status == 200, "\(gone.text)")
            let again = try await ingress.send("DELETE", "/v1/holidays/2027-07-05", headers: [("If-Match", "\"1\"")])
            #expect(again.status == 404)
            #expect(
                try await pool.count(
                    "select count(*) from change_log where subject_kind = 'holiday' and change_type = 'removed'") == 1)

            #expect(try await ingress.items("/v1/consultation-types").count == 5)
            let type = try await ingress.send(
                "PATCH", "/v1/consultation-types/residential", headers: [("If-Match", "\"1\"")],
                body: #"{"notice_minutes":480}"#)
            #expect(try type.status == 200 && type.json["notice_minutes"] as? Int == 480, "\(type.text)")
            let service = try await ingress.send("GET", "/v1/service-types/commercial_paving")
            #expect(try service.json["crew_size"] as? Int == 4 && service.json["cutoff_minutes"] as? Int == 2_880)
            #expect(try await ingress.items("/v1/service-types?category=emergency").count == 1)
            let none = try await ingress.send(
                "PATCH", "/v1/service-types/commercial_paving", headers: [("If-Match", "\"1\"")],
                body: #"{"crew_size":null}"#)
            #expect(try none.status == 200 && none.json["crew_size"] == nil)
            // A code is for good.
            let code = try await ingress.send(
                "PATCH", "/v1/service-types/commercial_paving", headers: [("If-Match", "\"2\"")], body: #"{"code":"x"}"#
            )
            #expect(code.invalidFields == ["/code"])
        }
    }

    @Test func timeOffTellsWhichBookingsHaveToMoveFirst() async throws {
        try await withConfiguration { ingress, pool in
            let crew = try await ingress.addID("/v1/crews", #"{"name":"Crew North"}"#)
            let job = JobID.make()
            _ = try await pool.query(
                """
                with job as (
                    insert into jobs (id, number, state, service, priority, customer_name, address, time_zone, starts_at,
                        ends_at, crew)
                    values (\(job.rawValue), 'J-2027-00042', 'scheduled', 'patching', 'standard', 'Ann Example', 'x',
                        'America/New_York', '2027-03-16T13:00Z', '2027-03-16T16:00Z', \(crew)))
                insert into allocations (resource_id, during, subject_kind, subject_id)
                values (\(crew), '[2027-03-16T12:45Z,2027-03-16T16:15Z)', 'job', \(job.rawValue))
                """)
            func body(_ day: Int) -> String {
                """
                {"resource":"\(crew)","starts_at":"2027-03-\(day)T00:00:00-04:00",
                 "ends_at":"2027-03-\(day + 1)T00:00:00-04:00","reason":"vacation"}
                """
            }
            let refused = try await ingress.send(
                "POST", "/v1/time-off", headers: [("Idempotency-Key", "k")], body: body(16))
            #expect(refused.status == 409 && refused.problemType == "schedule-conflict", "\(refused.text)")
            let conflict = try #require((try refused.json["conflicts"] as? [[String: Any]])?.first)
            #expect(
                conflict["reason"] as? String
                    == "Crew North has Patching and crack repair J-2027-00042 for Ann Example 2027-03-16 08:45-12:15 EDT"
            )
            let booking = try #require(conflict["booking"] as? [String: String])
            #expect(booking["id"] == job.rawValue && booking["kind"] == "job")
            #expect(booking["starts_at"] == "2027-03-16T12:45:00.000Z")
            #expect((try refused.json["detail"] as? String)?.contains("Move or cancel") == true)

            let added = try await ingress.add("/v1/time-off", body(17))
            let path = "/v1/time-off/\(try #require(added["id"] as? String))"
            #expect(
                try await pool.count("select count(*) from allocations where active and subject_kind = 'time_off'") == 1
            )
            #expect(try await ingress.items("/v1/time-off?resource=\(crew)&from=2027-03-18T00:00:00Z").count == 1)
            #expect(try await ingress.items("/v1/time-off?to=2027-03-17T04:00:00Z").isEmpty)
            #expect(try await ingress.send("GET", "/v1/maintenance/\(added["id"] ?? "")").status == 404)
            let canceled = try await ingress.send("DELETE", path, headers: [("If-Match", "\"1\"")])
            #expect(try canceled.status == 200 && canceled.json["canceled_at"] != nil)
            #expect(
                try await pool.count("select count(*) from allocations where active and subject_kind = 'time_off'") == 0
            )
            let twice = try await ingress.send("DELETE", path, headers: [("If-Match", "*")])
            #expect(twice.status == 409 && twice.problemType == "illegal-transition")
            #expect(try await ingress.items("/v1/time-off").isEmpty)
            #expect(try await ingress.items("/v1/time-off?canceled=true").count == 1)
        }
    }

    @Test func aDatabaseThatIsAwayIsSaidSo() async throws {
        try await withIngress { ingress in
            for (method, path) in [("GET", "/v1/crews"), ("GET", "/v1/business-hours"), ("POST", "/v1/crews")] {
                let response = try await ingress.send(
                    method, path, headers: [("Idempotency-Key", "k")], body: method == "POST" ? #"{"name":"x"}"# : nil)
                #expect(response.status == 503 && response.headers["Retry-After"] != nil, "\(method) \(path)")
            }
        }
    }
}
