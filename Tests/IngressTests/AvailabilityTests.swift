import Domain
import Foundation
import Ingress
import Persistence
import Postgres
import TestSupport
import Testing
import Transport

/// What is free and why not, against a real database.
@Suite(.timeLimit(.minutes(2))) struct AvailabilityTests {
    private static let tuesday = "from=2027-03-16T04:00:00Z&to=2027-03-17T04:00:00Z&zone=America/New_York"

    private static func starts(_ response: HTTPResponse) throws -> [String] {
        #expect(response.status == 200, "\(response.text)")
        return try #require(try response.json["items"] as? [[String: Any]]).compactMap { $0["starts_at"] as? String }
    }

    private static func reasons(_ response: HTTPResponse) throws -> [String] {
        try #require(try response.json["reasons"] as? [[String: Any]]).compactMap { $0["reason"] as? String }
    }

    @Test func slotsComeWithThoseWhoWouldGo() async throws {
        try await withConfiguration { ingress, pool in
            let crew = try await ingress.addID("/v1/crews", #"{"name":"Crew North"}"#)
            let other = try await ingress.addID(
                "/v1/crews", #"{"name":"Crew South","shifts":[{"weekday":2,"from":"11:00","to":"17:00"}]}"#)
            try await ingress.add(
                "/v1/time-off",
                """
                {"resource":"\(crew)","starts_at":"2027-03-16T08:15:00-04:00","ends_at":"2027-03-16T18:00:00-04:00",
                 "reason":"course"}
                """)
            let path = "/v1/availability?service=patching&duration_minutes=60&\(Self.tuesday)"
            let response = try await ingress.send("GET", path)
            let items = try #require(try response.json["items"] as? [[String: Any]])
            let found = items.compactMap { item in
                (item["who"] as? [[String: String]])?.first?["name"].map { "\(item["starts_at"] ?? "") \($0)" }
            }
            // 07:00 in New York ends, with its buffer of 15 minutes, as the course begins.
            #expect(found.first == "2027-03-16T11:00:00.000Z Crew North")
            #expect(found.dropFirst().first == "2027-03-16T15:00:00.000Z Crew South")
            #expect(found.last == "2027-03-16T20:00:00.000Z Crew South" && found.count == 12, "\(found)")
            #expect(try Self.reasons(response).isEmpty)
            let few = try await ingress.send("GET", path + "&limit=3&crew=\(other)")
            #expect(try Self.starts(few).count == 3 && Self.starts(few)[0] == "2027-03-16T15:00:00.000Z")
            // It only asks.
            #expect(try await pool.count("select count(*) from allocations where subject_kind <> 'time_off'") == 0)
        }
    }

    @Test func nothingFreeIsExplainedForEachWhoCouldHaveGone() async throws {
        try await withConfiguration { ingress, pool in
            let path = "/v1/availability?service=sealcoating&\(Self.tuesday)"
            #expect(
                try Self.reasons(await ingress.send("GET", path)) == [
                    "There is no active crew.", "There is no active sealcoat rig.",
                ])
            let off = try await ingress.addID("/v1/crews", #"{"name":"A Off"}"#)
            try await ingress.add(
                "/v1/time-off",
                """
                {"resource":"\(off)","starts_at":"2027-03-15T00:00:00-04:00","ends_at":"2027-03-20T00:00:00-04:00",
                 "reason":"vacation"}
                """)
            try await ingress.add(
                "/v1/crews", #"{"name":"B Night","shifts":[{"weekday":2,"from":"18:00","to":"02:00"}]}"#)
            let alone = try await ingress.addID("/v1/crews", #"{"name":"C Alone"}"#)
            try await ingress.add("/v1/crew-members", #"{"name":"Jo","crew":"\#(alone)"}"#)
            try await ingress.add(
                "/v1/equipment", #"{"name":"Rig 1","equipment_type":"sealcoat_rig","status":"in_service"}"#)
            let response = try await ingress.send("GET", path)
            #expect(try Self.starts(response).isEmpty)
            #expect(
                try Self.reasons(response).sorted() == [
                    "A Off is off (vacation) 2027-03-15 00:00 to 2027-03-20 00:00 EDT.",
                    "B Night does not work at that time.", "C Alone has 1 person, 2 are needed.",
                    "Rig 1 is at the workshop.",
                ])
            let sunday = try await ingress.send(
                "GET",
                "/v1/availability?service=patching&from=2027-03-14T05:00:00Z&to=2027-03-15T04:00:00Z&zone=America/New_York"
            )
            #expect(
                try Self.reasons(sunday) == [
                    "Between 2027-03-14 00:00 EST and 2027-03-15 00:00 EDT no working time has room for a visit of 180 minutes."
                ])
        }
    }

    @Test func consultationsKeepNoticeAndHorizon() async throws {
        try await withConfiguration { ingress, _ in
            try await ingress.add("/v1/estimators", #"{"name":"Alex"}"#)
            // It is Monday, 07:00 in New York: the notice of four hours ends at 11:00.
            let today = try await ingress.send(
                "GET",
                "/v1/availability?consultation=residential&from=2027-03-01T00:00:00Z&to=2027-03-02T05:00:00Z&zone=America/New_York"
            )
            #expect(try Self.starts(today).first == "2027-03-01T16:00:00.000Z")
            let late = try await ingress.send(
                "GET",
                "/v1/availability?consultation=emergency&from=2027-03-10T00:00:00Z&to=2027-03-11T00:00:00Z&zone=America/New_York"
            )
            #expect(try Self.starts(late).isEmpty)
            #expect(try Self.reasons(late).first?.hasPrefix("Such visits can be booked from 2027-03-01 07:00") == true)
        }
    }

    @Test func aCheckSaysWhetherItFitsAndWhatWould() async throws {
        try await withConfiguration { ingress, pool in
            let crew = try await ingress.addID("/v1/crews", #"{"name":"Crew North"}"#)
            func check(_ start: String, _ more: String = "") async throws -> [String: Any] {
                let response = try await ingress.send(
                    "POST", "/v1/conflict-check",
                    body: #"{"service":"patching","starts_at":"\#(start)","time_zone":"America/New_York"\#(more)}"#)
                #expect(response.status == 200, "\(response.text)")
                return try response.json
            }
            let fits = try await check("2027-03-16T13:00:00Z")
            #expect(fits["fits"] as? Bool == true && fits["objection"] == nil)
            #expect((fits["who"] as? [[String: String]])?.first?["id"] == crew)
            #expect((fits["conflicts"] as? [Any])?.isEmpty == true && (fits["alternatives"] as? [Any])?.isEmpty == true)
            let job = JobID.make()
            _ = try await pool.query(
                """
                insert into allocations (resource_id, during, subject_kind, subject_id)
                values (\(crew), '[2027-03-16T12:45Z,2027-03-16T16:15Z)', 'job', \(job.rawValue))
                """)
            let taken = try await check("2027-03-16T13:00:00Z")
            #expect(taken["fits"] as? Bool == false)
            #expect(
                (taken["conflicts"] as? [[String: Any]])?.compactMap { $0["reason"] as? String }
                    == ["Crew North is taken 08:45-12:15 EDT"])
            let alternatives = try #require(taken["alternatives"] as? [[String: String]])
            #expect(alternatives.count == 5)
            // What is offered does fit.
            #expect(try await check(try #require(alternatives[0]["starts_at"]))["fits"] as? Bool == true)
            // The job itself may move over its own time.
            #expect(try await check("2027-03-16T14:00:00Z", #","job":"\#(job)""#)["fits"] as? Bool == true)
            // What the company has none of is said, or nobody would know why.
            let response = try await ingress.send(
                "POST", "/v1/conflict-check",
                body:
                    #"{"service":"sealcoating","starts_at":"2027-03-18T13:00:00Z","time_zone":"America/New_York"}"#)
            #expect(try response.json["fits"] as? Bool == false)
            #expect(try response.json["missing"] as? [String] == ["There is no active sealcoat rig."])
            let sunday = try await check("2027-03-14T15:00:00Z")
            #expect((sunday["objection"] as? [String: String])?["code"] == "closed_day")
            #expect(sunday["fits"] as? Bool == false && (sunday["conflicts"] as? [Any])?.isEmpty == true)
        }
    }

    @Test(arguments: [
        ("", ["service", "zone"]), ("service=patching", ["zone"]),
        ("service=x&zone=America/New_York", ["service"]),
        ("service=patching&consultation=residential&zone=America/New_York", ["service"]),
        ("consultation=x&zone=America/New_York", ["consultation", "service"]),
        ("consultation=triage&zone=America/New_York&priority=high", ["priority"]),
        ("service=patching&zone=America/New_York&from=2027-03-01T00:00:00Z&to=2027-05-03T00:00:00Z", ["to"]),
        ("service=patching&zone=America/New_York&crew=res_01KZJ9ZQ8T4X5N7B2C3D6E8F9G", ["crew"]),
        (
            "service=patching&zone=America/New_York&duration_minutes=1&limit=201&when=now",
            ["duration_minutes", "limit", "when"]
        ),
        ("service=patching&zone=America/New_York&duration_minutes=700", ["duration_minutes"]),
    ])
    func aQuestionThatCannotBeAnsweredIsNamed(query: String, names: [String]) async throws {
        try await withConfiguration { ingress, _ in
            let response = try await ingress.send("GET", "/v1/availability?\(query)")
            #expect(response.status == 400 && response.invalidFields == names, "\(response.text)")
        }
    }

    @Test func aCheckNamesItsInvalidFields() async throws {
        try await withConfiguration { ingress, _ in
            for (body, fields) in [
                ("{}", ["/service", "/starts_at", "/time_zone"]),
                (
                    #"{"service":"x","consultation":"triage","priority":"low","starts_at":"x","time_zone":"x","job":"x","z":1}"#,
                    ["/job", "/priority", "/service", "/starts_at", "/time_zone", "/z"]
                ),
                (
                    #"{"service":"x","starts_at":"2027-03-16T13:00:00Z","time_zone":"America/New_York"}"#, ["/service"]
                ),
            ] {
                let response = try await ingress.send("POST", "/v1/conflict-check", body: body)
                #expect(response.status == 422 && response.invalidFields == fields, "\(response.text)")
            }
        }
    }
}
