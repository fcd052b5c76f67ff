import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import Synchronization
import Testing
import Transport

@Suite struct ReadTests {
    private static func jobs(_ count: Int) -> [JobView] {
        (0..<count).map { index in
            var job = Samples.job
            job.id = JobID(digest: Array(repeating: UInt8(index), count: 16))
            // Pairs that start at the same time, so that the id has to decide.
            job.startsAt = Samples.job.startsAt.addingTimeInterval(Double(index / 2) * 3_600)
            job.state = index % 3 == 0 ? .canceled : .scheduled
            return job
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aJobHasAnETagAndIsNotSentAgain() async throws {
        try await withIngress { ingress in
            ingress.schedule.state.withLock { $0.jobs = [Samples.job] }
            let path = "/v1/jobs/\(Samples.job.id)"
            let response = try await ingress.send("GET", path)
            #expect(response.status == 200)
            #expect(response.headers["ETag"] == "\"3\"")
            #expect(response.body == (try WireJSON.encode(Samples.job)))
            for tags in ["\"3\"", "W/\"3\"", "\"1\", \"3\"", "*"] {
                let again = try await ingress.send("GET", path, headers: [("If-None-Match", tags)])
                #expect(again.status == 304, "\(tags)")
                #expect(again.body.isEmpty)
                #expect(again.headers["ETag"] == "\"3\"")
            }
            for tags in ["\"2\"", "3", "\"33\""] {
                #expect(try await ingress.send("GET", path, headers: [("If-None-Match", tags)]).status == 200)
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func whatDoesNotExistIsNotFound() async throws {
        try await withIngress { ingress in
            for path in [
                "/v1/jobs/\(Samples.job.id)", "/v1/jobs/1", "/v1/jobs/..", "/v1/jobs/%00", "/v1/consultations/x",
                "/v1/operations/opn_00000000000000000000000000", "/v1/operations/x",
                "/v1/consultations/\(Samples.job.id)",
            ] {
                let response = try await ingress.send("GET", path)
                #expect(response.status == 404, "\(path)")
                #expect(response.problemType == "not-found")
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func pagesFollowOneAnotherWithoutGapOrRepetition() async throws {
        try await withIngress { ingress in
            let jobs = Self.jobs(11)
            ingress.schedule.state.withLock { $0.jobs = jobs }
            var seen: [String] = []
            var query = "limit=3"
            while true {
                let response = try await ingress.send("GET", "/v1/jobs?\(query)")
                #expect(response.status == 200, "\(response.text)")
                let items = try #require(try response.json["items"] as? [[String: Any]])
                seen += items.compactMap { $0["id"] as? String }
                guard let cursor = try response.json["next_cursor"] as? String else { break }
                query = "limit=3&cursor=\(cursor)"
            }
            #expect(seen == jobs.map(\.id.rawValue))
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func filtersReachTheDatabase() async throws {
        try await withIngress { ingress in
            let response = try await ingress.send(
                "GET", "/v1/jobs?state=scheduled,on_hold&from=2027-03-16T00:00:00-04:00&to=2027-03-17T04%3A00%3A00Z")
            #expect(response.status == 200, "\(response.text)")
            #expect(response.text == #"{"items":[],"next_cursor":null}"#)
            let query = try #require(ingress.schedule.firstQuery)
            #expect(query.filter.states == [.scheduled, .onHold])
            #expect(query.filter.from == Date(timeIntervalSince1970: 1_805_169_600))
            #expect(query.filter.to == Date(timeIntervalSince1970: 1_805_256_000))
            #expect(query.limit == 50)
        }
    }

    @Test(
        .timeLimit(.minutes(1)),
        arguments: [
            ("limit=0", ["limit"]), ("limit=201", ["limit"]), ("limit=", ["limit"]), ("limit=1&limit=2", ["limit"]),
            ("limit=ten&state=none&from=monday&to=&cursor=x", ["cursor", "from", "limit", "state", "to"]),
            ("state=", ["state"]), ("state=scheduled,,on_hold", ["state"]), ("sort=id", ["sort"]),
            ("from=2027-03-16", ["from"]), ("from=2027-03-16T00:00:00Z&to=2027-03-16T00:00:00Z", ["to"]),
            ("limit=%zz", ["query"]), ("cursor=%FF", ["query"]),
        ])
    func badQueriesNameTheParameter(query: String, names: [String]) async throws {
        try await withIngress { ingress in
            for path in ["/v1/jobs", "/v1/consultations"] {
                let response = try await ingress.send("GET", "\(path)?\(query)")
                #expect(response.status == 400, "\(query)")
                #expect(response.problemType == "malformed-request")
                #expect(response.invalidFields == names)
            }
            #expect(ingress.schedule.queryCount == 0)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func forgedCursorsDoNotReachTheDatabase() async throws {
        try await withIngress { ingress in
            let texts = [
                "0:\u{0}", "0:'; drop table jobs", "9223372036854775807:\(Samples.job.id)", "x", ":", "0:con_x",
            ]
            for text in texts {
                let cursor = Data(text.utf8).base64EncodedString().replacing("=", with: "")
                    .replacing("+", with: "-").replacing("/", with: "_")
                let status = try await ingress.send("GET", "/v1/jobs?cursor=\(cursor)").status
                #expect(status == 400, "\(text)")
            }
            #expect(ingress.schedule.queryCount == 0)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func consultationsAreListedAndRead() async throws {
        try await withIngress { ingress in
            ingress.schedule.state.withLock { $0.consultations = [Samples.consultation] }
            let list = try await ingress.send("GET", "/v1/consultations?state=booked")
            #expect(
                list.text
                    == #"{"items":[\#(String(decoding: try WireJSON.encode(Samples.consultation), as: UTF8.self))],"next_cursor":null}"#
            )
            let one = try await ingress.send("GET", "/v1/consultations/\(Samples.consultation.id)")
            #expect(one.headers["ETag"] == "\"2\"")
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aDatabaseThatIsAwayIsSaidToBe() async throws {
        try await withIngress { ingress in
            ingress.schedule.state.withLock { $0.failure = PostgresError(.poolTimeout, "no connection in time") }
            let response = try await ingress.send("GET", "/v1/jobs/\(Samples.job.id)")
            #expect(response.status == 503)
            #expect(response.problemType == "dependency-unavailable")
            #expect(response.headers["Retry-After"] != nil)
        }
    }
}
