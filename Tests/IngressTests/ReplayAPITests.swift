import Domain
import Foundation
import Ingress
import MetricsTestKit
import Persistence
import Postgres
import ServiceLifecycle
import TestSupport
import Testing
import Transport

/// Replay campaigns through the API, against a real database.
@Suite(.timeLimit(.minutes(1))) struct ReplayAPITests {
    /// An ingress of which only the campaigns are real.
    struct Rig: Sendable {
        let pool: PostgresPool
        let port: Int
        let client: HTTPClient
        let key: String

        func send(
            _ method: String, _ path: String, _ body: String? = nil, idempotencyKey: String? = nil
        ) async throws -> HTTPResponse {
            var headers: HTTPHeaders = ["Authorization": "Bearer \(key)", "Content-Type": "application/json"]
            if let idempotencyKey { headers.append(name: "Idempotency-Key", value: idempotencyKey) }
            return try await client.send(
                HTTPRequest(
                    method: method, url: "http://127.0.0.1:\(port)/v1/replay-campaigns\(path)", headers: headers,
                    body: body.map { Array($0.utf8) }))
        }

        static func with(letters: [String], _ body: (Rig) async throws -> Void) async throws {
            try await withScratchDatabase(migrations: Schema.migrations(), poolSize: 6) { pool in
                for (index, id) in letters.enumerated() {
                    _ = try await pool.query(
                        """
                        insert into dead_letters (id, death_key, queue, message_id, type, exchange, routing_key, properties,
                            headers, body, reason)
                        values (\(id), \(id), \(index % 2 == 0 ? "scheduling" : "sync"), \("m\(index)"), 'job.create', '',
                            'scheduling', '{}', '{}', '\\x7b7d', 'rejected')
                        """)
                }
                let keys = ApiKeyRepository(pool: pool)
                let (_, secret) = try await keys.create(name: "night", role: .ops, by: AccessActor(name: "test"))
                var configuration = IngressConfiguration(
                    address: .init(port: 0), calendlySigningKeys: [Harness.signingKey])
                configuration.eventLoopThreads = 1
                let server = try IngressServer(
                    configuration: configuration,
                    dependencies: IngressDependencies(
                        publish: { (_) async throws(PublishFailure) in }, spool: { _ in },
                        operations: StoredOperations(pool: pool), reads: StoredSchedule(pool: pool),
                        replays: StoredReplayCampaigns(pool: pool, consumers: ["scheduling", "sync"]),
                        letters: StoredLetters(pool: pool), configuration: NoConfiguration(),
                        accounts: StoredAccounts(pool: pool),
                        findApiKey: { try await keys.find(digest: $0) }),
                    metrics: TestMetrics(), logger: .silent)
                let group = ServiceGroup(services: [server], logger: .silent)
                let run = Task { try await group.run() }
                let client = HTTPClient(name: "tests")
                let result: Result<Void, any Error>
                do {
                    result = .success(
                        try await body(
                            Rig(pool: pool, port: try await server.port(), client: client, key: secret.text)))
                } catch {
                    result = .failure(error)
                }
                await client.close()
                await group.triggerGracefulShutdown()
                try await run.value
                try result.get()
            }
        }
    }

    static let ids = (0..<5).map { "dlt_0000000000000000000000000\($0)" }

    @Test func aCampaignIsPlannedMadeFollowedAndRecalled() async throws {
        try await Rig.with(letters: Self.ids) { rig in
            let plan = try await rig.send("POST", "/plan", #"{"queue":"scheduling"}"#)
            #expect(plan.status == 200, "\(plan.text)")
            #expect(try plan.json["letters"] as? Int == 3)
            #expect(try plan.json["queues"] as? [String: Int] == ["scheduling": 3])

            let body = #"{"queue":"scheduling","canary":2,"ramp":[3],"rate":1.5,"reason":"mended"}"#
            #expect(try await rig.send("POST", "", body).problemType == "idempotency-key-missing")
            let made = try await rig.send("POST", "", body, idempotencyKey: "one")
            #expect(made.status == 201, "\(made.text)")
            let id = try #require(try made.json["id"] as? String)
            #expect(made.headers["Location"] == "/v1/replay-campaigns/\(id)")
            #expect(try made.json["created_by"] as? String == "key:night")
            #expect(try (made.json["letters"] as? [String: Int])?["waiting"] == 3)

            // The same request again is the same campaign; another one under the key is refused.
            let again = try await rig.send("POST", "", body, idempotencyKey: "one")
            #expect(again.status == 201 && again.headers["Idempotent-Replayed"] == "true")
            #expect(try again.json["id"] as? String == id)
            let other = try await rig.send("POST", "", #"{"queue":"sync"}"#, idempotencyKey: "one")
            #expect(other.problemType == "idempotency-key-reused")
            let nothing = try await rig.send("POST", "", body, idempotencyKey: "two")
            #expect(nothing.status == 422)

            for (act, phase) in [("pause", "paused"), ("pause", "paused"), ("resume", "planned")] {
                let response = try await rig.send("POST", "/\(id)/\(act)")
                #expect(response.status == 200, "\(response.text)")
                #expect(try response.json["phase"] as? String == phase)
            }
            #expect(try await rig.send("GET", "/\(id)").json["phase"] as? String == "planned")
            let recalled = try await rig.send("POST", "/\(id)/recall", #"{"reason":"wrong letters"}"#)
            #expect(try (recalled.json["letters"] as? [String: Int])?["withdrawn"] == 3)
            #expect(try await rig.send("POST", "/\(id)/pause").problemType == "illegal-transition")

            let letters = try await rig.send("GET", "/\(id)/letters?state=withdrawn&limit=2")
            let items = try #require(try letters.json["items"] as? [[String: Any]])
            #expect(items.map { $0["letter"] as? String } == [Self.ids[0], Self.ids[2]])
            let next = try #require(try letters.json["next_cursor"] as? String)
            let rest = try await rig.send("GET", "/\(id)/letters?state=withdrawn&limit=2&cursor=\(next)")
            #expect(try (rest.json["items"] as? [Any])?.count == 1)
            #expect(try (await rig.send("GET", "?limit=1").json["items"] as? [Any])?.count == 1)
            let log = try await OperatorLog.list(OperatorLog.Filter(subject: id), on: rig.pool)
            #expect(
                log.map(\.act.kind.rawValue.description).reversed() == [
                    "replay_campaign.create", "replay_campaign.pause", "replay_campaign.resume",
                    "replay_campaign.recall",
                ])
            #expect(log.allSatisfy { $0.act.actor == "key:night" } && log.first?.act.reason == "wrong letters")
        }
    }

    @Test func whatMakesNoSenseIsRefusedInFull() async throws {
        try await Rig.with(letters: []) { rig in
            let wrong = try await rig.send(
                "POST", "",
                #"{"letters":["x"],"queue":"sync","ramp":[0,"1"],"canary":-1,"rate":0,"abort_above":2,"zz":1}"#,
                idempotencyKey: "k")
            #expect(
                wrong.invalidFields == [
                    "/abort_above", "/canary", "/letters", "/letters/0", "/ramp/0", "/ramp/1", "/rate", "/zz",
                ], "\(wrong.text)")
            #expect(try await rig.send("POST", "", "{}", idempotencyKey: "k").invalidFields == ["/letters"])
            #expect(try await rig.send("GET", "?limit=0&x=1&open=maybe").status == 400)
            let unknown = "/rpl_00000000000000000000000000"
            for (method, path) in [
                ("GET", unknown), ("GET", unknown + "/letters"), ("POST", unknown + "/recall"), ("GET", "/none"),
            ] {
                #expect(try await rig.send(method, path).status == 404, "\(method) \(path)")
            }
        }
    }
}
