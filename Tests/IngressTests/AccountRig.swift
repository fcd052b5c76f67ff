import Foundation
import Ingress
import MetricsTestKit
import Persistence
import Postgres
import ServiceLifecycle
import TestSupport
import Testing
import Transport

/// An ingress over a database, with users, sessions and keys as they really are, and cheap hashes.
struct AccountRig: Sendable {
    static let password = "seven purple wheelbarrows"
    static let cheap = PasswordHash.Parameters(costExponent: 4)

    /// What a browser keeps of its session.
    struct Browser: Sendable {
        var cookie: String
        var csrfToken: String
        var id: String
    }

    let pool: PostgresPool
    let clock = FakeClock()
    let client = HTTPClient(name: "tests", maxConnectionsPerHost: 32)
    var port = 0

    static func with(
        _ configure: (inout IngressConfiguration) -> Void = { _ in }, body: (AccountRig) async throws -> Void
    ) async throws {
        try await withScratchDatabase(migrations: Schema.migrations(), poolSize: 8) { pool in
            var rig = AccountRig(pool: pool)
            let (keys, clock) = (ApiKeyRepository(pool: pool), rig.clock)
            var configuration = IngressConfiguration(
                address: .init(port: 0), calendlySigningKeys: [Harness.signingKey])
            configuration.eventLoopThreads = 1
            configuration.passwords.parameters = cheap
            configure(&configuration)
            let server = try IngressServer(
                configuration: configuration,
                dependencies: IngressDependencies(
                    publish: { (_) async throws(PublishFailure) in }, spool: { _ in },
                    operations: StoredOperations(pool: pool), reads: StoredSchedule(pool: pool),
                    replays: StoredReplayCampaigns(pool: pool, consumers: ["work"]), letters: StoredLetters(pool: pool),
                    configuration: NoConfiguration(), accounts: StoredAccounts(pool: pool),
                    findApiKey: { try await keys.find(digest: $0) },
                    now: { clock.now }), metrics: TestMetrics(), logger: .silent)
            let group = ServiceGroup(services: [server], logger: .silent)
            let run = Task { try await group.run() }
            let result: Result<Void, any Error>
            do {
                rig.port = try await server.port()
                result = .success(try await body(rig))
            } catch {
                result = .failure(error)
            }
            await rig.client.close()
            await group.triggerGracefulShutdown()
            try await run.value
            try result.get()
        }
    }

    @discardableResult
    func addUser(
        _ email: String = "office@example.com", role: AccessRole = .office, password: String = password,
        parameters: PasswordHash.Parameters = cheap
    ) async throws -> User {
        try #require(
            try await UserRepository(pool: pool).create(
                NewUser(
                    email: email, name: String(email.prefix { $0 != "@" }), role: role,
                    password: try PasswordHash(of: password, parameters: parameters)),
                by: AccessActor(name: "test"), at: clock.now))
    }

    func addKey(_ role: AccessRole) async throws -> String {
        try await ApiKeyRepository(pool: pool).create(
            name: "\(role) key", role: role, by: AccessActor(name: "test"), at: clock.now
        ).secret.text
    }

    func send(
        _ method: String, _ path: String, _ body: String? = nil, as browser: Browser? = nil, key: String? = nil,
        headers: [(String, String)] = []
    ) async throws -> HTTPResponse {
        var fields = HTTPHeaders()
        if let browser {
            fields.append(name: "Cookie", value: "theme=dark; \(browser.cookie)")
            fields.append(name: "X-CSRF-Token", value: browser.csrfToken)
        }
        if let key { fields.append(name: "Authorization", value: "Bearer \(key)") }
        if body != nil { fields.append(name: "Content-Type", value: "application/json") }
        for (name, value) in headers { fields.append(name: name, value: value) }
        var request = HTTPRequest(
            method: method, url: "http://127.0.0.1:\(port)\(path)", headers: fields, body: body.map { Array($0.utf8) })
        request.timeout = .seconds(60)
        return try await client.send(request)
    }

    func tryLogIn(
        _ email: String = "office@example.com", _ password: String = password, headers: [(String, String)] = []
    ) async throws -> HTTPResponse {
        try await send(
            "POST", "/v1/sessions", #"{"email":"\#(email)","password":"\#(password)"}"#, headers: headers)
    }

    func logIn(_ email: String = "office@example.com", _ password: String = password) async throws -> Browser {
        let response = try await tryLogIn(email, password)
        try #require(response.status == 201, "\(response.text)")
        return try Self.browser(response)
    }

    static func browser(_ response: HTTPResponse) throws -> Browser {
        let cookie = try #require(response.headers["Set-Cookie"])
        return Browser(
            cookie: String(cookie.prefix { $0 != ";" }),
            csrfToken: try #require(response.json["csrf_token"] as? String),
            id: try #require((response.json["session"] as? [String: Any])?["id"] as? String))
    }

    /// The record of access, the oldest first.
    func record(_ acts: AccessEvent.Act...) async throws -> [AccessEvent] {
        try await AccessLog.list(AccessLog.Filter(acts: Set(acts)), limit: 500, on: pool).reversed().map(\.event)
    }
}
