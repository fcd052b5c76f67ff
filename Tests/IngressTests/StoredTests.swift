import AMQP
import Domain
import Foundation
import Ingress
import Messaging
import MetricsTestKit
import Persistence
import Postgres
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing
import Transport

/// What the ingress keeps in PostgreSQL, against a real server.
@Suite struct StoredTests {
    // MARK: - API keys

    @Test(.timeLimit(.minutes(1)))
    func aKeyIsShownOnceAndFoundByItsDigest() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let keys = ApiKeyRepository(pool: pool)
            let (key, secret) = try await keys.create(
                name: "Front office", role: .office, by: AccessActor(name: "test"))
            #expect(secret.text.hasPrefix("neff_"))
            #expect(secret.text.utf8.count == 45)
            #expect(!"\(secret)".contains(secret.text))
            let other = try await keys.create(name: "Robot", role: .service, by: AccessActor(name: "test"))
            #expect(other.secret.text != secret.text)

            let found = try #require(try await keys.find(digest: secret.digest))
            #expect(found.id == key.id)
            #expect(found.role == .office)
            #expect(try await keys.find(digest: Array(repeating: 0, count: 32)) == nil)
            let rows = try await pool.query("select k::text from api_keys k")
            let stored = try rows.map { try $0.decode(0, as: String.self) }.joined()
            #expect(!stored.contains(secret.text.dropFirst(12)), "the secret itself is nowhere")
            #expect(try await keys.list().map(\.name) == ["Robot", "Front office"])
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aRevokedKeyStaysRevokedAndKeepsItsTime() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let keys = ApiKeyRepository(pool: pool)
            let (key, secret) = try await keys.create(name: "x", role: .ops, by: AccessActor(name: "test"))
            let instant = Date(timeIntervalSince1970: 1_804_690_000)
            #expect(try await keys.revoke(key.id, by: AccessActor(name: "test"), at: instant)?.revokedAt == instant)
            #expect(
                try await keys.revoke(key.id, by: AccessActor(name: "test"), at: instant + 60)?.revokedAt == instant)
            #expect(try await keys.revoke(ApiKeyID.make(), by: AccessActor(name: "test")) == nil)
            let found = try #require(try await keys.find(digest: secret.digest, at: instant + 61))
            #expect(found.revokedAt == instant)
            #expect(found.lastUsedAt == nil, "a refused use is no use")
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func useIsNotedAtMostOnceAMinute() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let keys = ApiKeyRepository(pool: pool)
            let (key, secret) = try await keys.create(name: "x", role: .ops, by: AccessActor(name: "test"))
            let start = Date(timeIntervalSince1970: 1_804_690_000)
            func lastUse() async throws -> Date? { try await keys.list().first { $0.id == key.id }?.lastUsedAt }
            for (offset, noted) in [(0.0, 0.0), (59, 0), (61, 61), (100, 61)] {
                _ = try await keys.find(digest: secret.digest, at: start + offset)
                #expect(try await lastUse() == start + noted)
            }
        }
    }

    // MARK: - Operations

    private static func operation(key: String = "k", hash: String = "h") -> Operation {
        Operation(
            id: OperationID(digest: MessageID.digest(["operation", key])), principal: "key_1", route: "POST /v1/jobs",
            idempotencyKey: key, requestHash: hash, messageID: "m-\(key)",
            createdAt: Date(timeIntervalSince1970: 1_804_690_000))
    }

    private static func message(_ id: String) -> OutgoingMessage {
        OutgoingMessage(
            exchange: .commands,
            envelope: Envelope(
                id: id, type: .createJob, timestamp: Date(timeIntervalSince1970: 1_804_690_000), body: [0, 255, 10]))
    }

    private static func spoolCount(_ pool: PostgresPool) async throws -> Int {
        try #require(try await pool.query("select count(*) as count from spool").first).decode("count")
    }

    @Test(.timeLimit(.minutes(1)))
    func operationAndCommandAreStoredTogetherOrNotAtAll() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let wakes = Mutex(0)
            let store = StoredOperations(pool: pool) { wakes.withLock { $0 += 1 } }
            #expect(try await store.begin(Self.operation(), spooling: Self.message("m-k")) == nil)
            #expect(try await Self.spoolCount(pool) == 1)
            // A second time: pending, so the command may be stored again, and the spool knows it.
            let earlier = try await store.begin(Self.operation(), spooling: Self.message("m-k"))
            #expect(earlier?.status == .pending)
            #expect(try await Self.spoolCount(pool) == 1)
            // Another request under the key stores nothing.
            let other = try await store.begin(Self.operation(hash: "other"), spooling: Self.message("m-other"))
            #expect(other?.requestHash == "h")
            #expect(try await Self.spoolCount(pool) == 1)
            #expect(wakes.withLock { $0 } == 3)
            // The spool cannot be written: then there is no operation either.
            _ = try await pool.query("alter table spool rename to spool_away")
            await #expect(throws: PostgresError.self) {
                try await store.begin(Self.operation(key: "z"), spooling: Self.message("m-z"))
            }
            #expect(try await store.find(Self.operation(key: "z").id) == nil)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aFinishedOperationSpoolsNothing() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let store = StoredOperations(pool: pool)
            let operation = Self.operation()
            #expect(try await store.begin(operation, spooling: nil) == nil)
            try await pool.withTransaction { transaction in
                try await Operations.finish(
                    operation.id, with: OperationResult(httpStatus: 200, body: Array("{}".utf8)), at: Date(),
                    in: transaction)
            }
            let earlier = try await store.begin(operation, spooling: Self.message("m-k"))
            #expect(earlier?.status == .succeeded)
            #expect(try await Self.spoolCount(pool) == 0)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func fiftyAtOnceAreOneOperation() async throws {
        try await withScratchDatabase(migrations: Schema.migrations(), poolSize: 8) { pool in
            let store = StoredOperations(pool: pool)
            // Several rounds, because the operation's two unique indexes object in either order.
            for round in 1...20 {
                let new = try await withThrowingTaskGroup(of: Bool.self) { group in
                    for index in 0..<50 {
                        group.addTask {
                            let message = index % 2 == 0 ? Self.message("m-\(round)") : nil
                            return try await store.begin(Self.operation(key: "\(round)"), spooling: message) == nil
                        }
                    }
                    return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
                #expect(new == 1)
                #expect(try await Self.spoolCount(pool) == round)
            }
        }
    }

    // MARK: - The whole way

    /// An ingress over a database, with a fake broker whose messages a stand-in for the worker answers.
    private static func withStoredIngress(
        _ pool: PostgresPool, broker: FakeBroker, _ body: (Int, HTTPClient) async throws -> Void
    ) async throws {
        let keys = ApiKeyRepository(pool: pool)
        var configuration = IngressConfiguration(address: .init(port: 0), calendlySigningKeys: [Harness.signingKey])
        configuration.eventLoopThreads = 1
        let server = try IngressServer(
            configuration: configuration,
            dependencies: IngressDependencies(
                publish: { (message) async throws(PublishFailure) in try await broker.publish(message) },
                isBrokerReady: { broker.isReady }, spool: { try await SpooledOperations.spool($0, in: pool) },
                operations: StoredOperations(pool: pool), reads: StoredSchedule(pool: pool),
                replays: StoredReplayCampaigns(pool: pool, consumers: ["work"]), letters: StoredLetters(pool: pool),
                configuration: NoConfiguration(), accounts: StoredAccounts(pool: pool),
                findApiKey: { try await keys.find(digest: $0) }), metrics: TestMetrics(), logger: .silent)
        let group = ServiceGroup(services: [server], logger: .silent)
        let client = HTTPClient(name: "tests")
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let port = try await server.port()
            let result: Result<Void, any Error>
            do {
                result = .success(try await body(port, client))
            } catch {
                result = .failure(error)
            }
            await client.close()
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            try result.get()
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aRequestIsAnsweredWithItsOutcomeOnceTheWorkerHasCommitted() async throws {
        try await withScratchDatabase(migrations: Schema.migrations(), poolSize: 8) { pool in
            let broker = FakeBroker()
            broker.onPublish { message in
                guard let command = try? WireJSON.decode(CreateJob.self, from: message.envelope.body) else { return }
                try? await pool.withTransaction { transaction in
                    try await Operations.finish(
                        command.context.operation,
                        with: OperationResult(
                            httpStatus: 201, value: Samples.job, subjectID: Samples.job.id.rawValue),
                        at: Date(), in: transaction)
                }
            }
            let (_, secret) = try await ApiKeyRepository(pool: pool).create(
                name: "Robot", role: .service, by: AccessActor(name: "test"))
            try await Self.withStoredIngress(pool, broker: broker) { port, client in
                func send(_ method: String, _ path: String, key: String? = nil) async throws -> HTTPResponse {
                    var headers: HTTPHeaders = [
                        "Authorization": "Bearer \(secret.text)", "Content-Type": "application/json",
                        "Prefer": "wait=10",
                    ]
                    if let key { headers.append(name: "Idempotency-Key", value: key) }
                    return try await client.send(
                        HTTPRequest(
                            method: method, url: "http://127.0.0.1:\(port)\(path)", headers: headers,
                            body: method == "POST" ? Array(Samples.createJob.utf8) : nil))
                }
                let created = try await send("POST", "/v1/jobs", key: "one")
                #expect(created.status == 201, "\(created.text)")
                #expect(created.headers["ETag"] == "\"3\"")
                let again = try await send("POST", "/v1/jobs", key: "one")
                #expect(again.status == 201)
                #expect(again.headers["Idempotent-Replayed"] == "true")
                #expect(broker.messages.count == 1)
                for path in ["/v1/jobs", "/v1/consultations?state=booked&limit=1"] {
                    let list = try await send("GET", path)
                    #expect(list.text == #"{"items":[],"next_cursor":null}"#, "\(path)")
                }
                // The broker goes away: what is asked for now is kept in the database.
                broker.isReady = false
                broker.failure = .unavailable
                async let spooled = send("POST", "/v1/jobs", key: "two")
                var count = 0
                while count == 0 { count = try await Self.spoolCount(pool) }
                #expect(count == 1)
                broker.failure = nil
                let rows = try await pool.query("select body, routing_key, signature from spool")
                let row = try #require(rows.first)
                #expect(try row.decode("routing_key", as: String.self) == "job.create")
                let command = try WireJSON.decode(CreateJob.self, from: row.decode("body", as: [UInt8].self))
                try await pool.withTransaction { transaction in
                    try await Operations.finish(
                        command.context.operation, with: OperationResult(.notFound("service")), at: Date(),
                        in: transaction)
                }
                let failed = try await spooled
                #expect(failed.status == 404)
                #expect(failed.problemType == "not-found")
            }
        }
    }
}
