import Domain
import Foundation
import Ingress
import Persistence
import Postgres
import TestSupport
import Testing
import Transport

/// Logging in and out, through the server and a real database.
@Suite(.timeLimit(.minutes(2))) struct SessionTests {
    // MARK: Logging in

    @Test func aWrongPasswordAnUnknownAndADisabledAccountAreToldTheSame() async throws {
        try await AccountRig.with { rig in
            let gone = try await rig.addUser("gone@example.com")
            try await rig.addUser()
            _ = try await UserRepository(pool: rig.pool).change(
                gone.id, UserChange(isDisabled: true), by: AccessActor(name: "test"))
            var answers: Set<String> = []
            for (email, password) in [
                ("office@example.com", "not the password"), ("nobody@example.com", AccountRig.password),
                ("gone@example.com", AccountRig.password), ("gone@example.com", "not the password"),
                ("office@example.com", AccountRig.password.uppercased()),
            ] {
                let response = try await rig.tryLogIn(email, password, headers: [("X-Request-Id", "same")])
                #expect(response.status == 401 && response.problemType == "unauthenticated")
                #expect(response.headers["Set-Cookie"] == nil)
                answers.insert(response.text)
            }
            #expect(answers.count == 1, "\(answers)")
            let reasons = try await rig.record(.refuseSession).map { $0.details["reason"] }
            #expect(reasons == ["password", "unknown", "disabled", "password", "password"])
            let traces = try await rig.pool.query("select l::text as row from access_log l").map {
                try $0.decode("row", as: String.self)
            }
            #expect(!traces.contains { $0.contains("nobody@example.com") || $0.contains("not the password") })
        }
    }

    @Test(arguments: [
        (#"{"email":"office@example.com"}"#, ["/password"]), (#"{"password":"x"}"#, ["/email"]),
        (#"{"email":"","password":""}"#, ["/email", "/password"]),
        (#"{"email":7,"password":"x","remember":true}"#, ["/email", "/remember"]),
    ])
    func whatIsNoLogInIsInvalid(body: String, fields: [String]) async throws {
        try await AccountRig.with { rig in
            let response = try await rig.send("POST", "/v1/sessions", body)
            #expect(response.status == 422 && response.invalidFields == fields, "\(response.text)")
        }
    }

    @Test func aLogInGivesACookieThatScriptsCannotReadAndWhatTheUserMayDo() async throws {
        try await AccountRig.with { rig in
            let user = try await rig.addUser()
            let response = try await rig.tryLogIn("OFFICE@example.com")
            #expect(response.status == 201, "\(response.text)")
            let cookie = try #require(response.headers["Set-Cookie"])
            #expect(cookie.hasPrefix("neff_session="))
            #expect(cookie.hasSuffix("; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax"))
            let json = try response.json
            #expect(json["kind"] as? String == "user" && json["id"] as? String == user.id.rawValue)
            #expect(json["permissions"] as? [String] == ["create_job", "own_account", "read_schedule"])
            let browser = try AccountRig.browser(response)
            let me = try await rig.send("GET", "/v1/me", as: browser)
            #expect(me.status == 200 && me.text == response.text, "what the log-in said can be asked for again")
            #expect(try await UserRepository(pool: rig.pool).find(user.id)?.lastLoginAt == rig.clock.now)
            // The token is nowhere in the database.
            let stored = try await rig.pool.query("select s::text as row from user_sessions s")
            let token = browser.cookie.dropFirst("neff_session=".count)
            #expect(try !stored[0].decode("row", as: String.self).contains(token))
        }
    }

    @Test(arguments: [(true, "127.0.0.1"), (false, "0.0.0.0")])
    func productionAndOtherHostsGiveSecureCookiesOnly(isProduction: Bool, host: String) async throws {
        try await AccountRig.with { configuration in
            configuration.isProduction = isProduction
            configuration.address.host = host
        } body: { rig in
            try await rig.addUser()
            let response = try await rig.tryLogIn()
            let cookie = try #require(response.headers["Set-Cookie"])
            #expect(
                cookie.hasPrefix("__Host-neff_session=")
                    && cookie.hasSuffix("; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure"))
            var browser = try AccountRig.browser(response)
            #expect(try await rig.send("GET", "/v1/me", as: browser).status == 200)
            browser.cookie = String(browser.cookie.dropFirst("__Host-".count))
            #expect(
                try await rig.send("GET", "/v1/me", as: browser).status == 401, "the plain name is no session there")
        }
    }

    @Test func aWeakHashIsReplacedAtTheNextLogIn() async throws {
        try await AccountRig.with { rig in
            let user = try await rig.addUser(parameters: PasswordHash.Parameters(costExponent: 2))
            func hash() async throws -> String {
                try #require(try await UserRepository(pool: rig.pool).credentials(user.id)).password.text
            }
            #expect(try await hash().hasPrefix("$scrypt$ln=2,"))
            _ = try await rig.tryLogIn("office@example.com", "not the password")
            #expect(try await hash().hasPrefix("$scrypt$ln=2,"))
            _ = try await rig.logIn()
            let renewed = try await hash()
            #expect(renewed.hasPrefix("$scrypt$ln=4,"))
            _ = try await rig.logIn()
            #expect(try await hash() == renewed, "once is enough")
        }
    }

    // MARK: Throttle

    @Test func failedAttemptsSlowAnAccountDownAndSuccessForgivesIt() async throws {
        try await AccountRig.with { configuration in
            configuration.trustedProxies = [AddressRange("127.0.0.0/8")].compactMap(\.self)
        } body: { rig in
            try await rig.addUser()
            // From many addresses, so that only the account counts.
            func from(_ client: Int) -> (String, String) { ("X-Forwarded-For", "198.51.100.\(client), 127.0.0.1") }
            for attempt in 0..<6 {
                let response = try await rig.tryLogIn(
                    "office@example.com", "not the password", headers: [from(attempt)])
                #expect(response.status == 401, "attempt \(attempt)")
            }
            let blocked = try await rig.tryLogIn(headers: [from(6)])
            #expect(blocked.status == 429 && blocked.problemType == "rate-limited", "also for the right password")
            #expect(blocked.headers["Retry-After"] == "1")
            // Another account from the same address may go on.
            #expect(try await rig.tryLogIn("nobody@example.com", "x", headers: [from(6)]).status == 401)
            rig.clock.now += 1
            #expect(try await rig.tryLogIn("office@example.com", "x", headers: [from(7)]).status == 401)
            let longer = try await rig.tryLogIn(headers: [from(8)])
            #expect(longer.status == 429 && longer.headers["Retry-After"] == "2")
            rig.clock.now += 2
            #expect(try await rig.tryLogIn(headers: [from(9)]).status == 201)
            for attempt in 10..<15 {
                let status = try await rig.tryLogIn("office@example.com", "x", headers: [from(attempt)]).status
                #expect(status == 401, "all is forgiven")
            }
        }
    }

    @Test func anAddressIsSlowedDownWhomeverItTries() async throws {
        try await AccountRig.with { rig in
            try await rig.addUser()
            for attempt in 0..<6 {
                #expect(try await rig.tryLogIn("user\(attempt)@example.com", "x").status == 401)
            }
            let blocked = try await rig.tryLogIn()
            #expect(blocked.status == 429 && blocked.headers["Retry-After"] == "12")
            // Nobody believes a client that says it is another one.
            let forged = try await rig.tryLogIn(headers: [("X-Forwarded-For", "198.51.100.9")])
            #expect(forged.status == 429)
            rig.clock.now += 12
            #expect(try await rig.tryLogIn().status == 201)
        }
    }

    @Test func logInsThatSucceedDoNotSlowAnAddressDown() async throws {
        try await AccountRig.with { rig in
            try await rig.addUser()
            for _ in 0..<12 { #expect(try await rig.tryLogIn().status == 201) }
        }
    }

    @Test func manyAtOnceGainNothing() async throws {
        try await AccountRig.with { rig in
            try await rig.addUser()
            let statuses = try await withThrowingTaskGroup(of: Int.self) { tasks in
                for _ in 0..<24 {
                    tasks.addTask { try await rig.tryLogIn("office@example.com", "x").status }
                }
                return try await tasks.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
            }
            #expect(statuses == [401: 6, 429: 18])
        }
    }

    @Test func moreThanMayWaitAreToldToComeBackAndAreNoFailures() async throws {
        try await AccountRig.with { configuration in
            configuration.passwords.atOnce = 1
            configuration.passwords.maxWaiting = 0
            configuration.passwords.parameters = .standard
        } body: { rig in
            try await rig.addUser()
            let answers = try await withThrowingTaskGroup(of: HTTPResponse.self) { tasks in
                for index in 0..<4 {
                    tasks.addTask { try await rig.tryLogIn("user\(index)@example.com", "x") }
                }
                return try await tasks.reduce(into: []) { $0.append($1) }
            }
            let refused = answers.filter { $0.status == 503 }
            #expect(!refused.isEmpty && answers.allSatisfy { [401, 503].contains($0.status) })
            #expect(refused.allSatisfy { $0.problemType == "overloaded" && $0.headers["Retry-After"] == "5" })
            let failures: Int = try await rig.pool.query(
                "select failures from login_throttles where kind = 'address'")[0]["failures"]
            #expect(failures == answers.count - refused.count)
        }
    }

    // MARK: Requests with a session

    @Test func aRequestThatChangesSomethingNeedsTheTokenAndMustComeFromOurPages() async throws {
        try await AccountRig.with { rig in
            try await rig.addUser()
            let browser = try await rig.logIn()
            let other = try await rig.logIn()
            var without = browser
            without.csrfToken = ""
            var foreign = browser
            foreign.csrfToken = other.csrfToken
            let own = ("Origin", "http://127.0.0.1:\(rig.port)")
            let refused: [(AccountRig.Browser, [(String, String)])] = [
                (without, []), (foreign, []), (without, [("Sec-Fetch-Site", "same-origin")]),
                (browser, [("Sec-Fetch-Site", "cross-site")]), (browser, [("Sec-Fetch-Site", "same-site")]),
                (browser, [("Sec-Fetch-Site", "none")]), (browser, [("Sec-Fetch-Site", "cross-site"), own]),
                (browser, [("Origin", "https://evil.example")]), (browser, [("Origin", "null")]),
                (browser, [("Origin", "http://127.0.0.1.evil.example:\(rig.port)")]),
            ]
            for (sender, headers) in refused {
                let response = try await rig.send("DELETE", "/v1/sessions/\(other.id)", as: sender, headers: headers)
                #expect(response.status == 403 && response.problemType == "cross-site-request", "\(headers)")
            }
            #expect(try await rig.record(.refuseCrossSite).count == refused.count)
            // Reading needs none of it.
            let read = try await rig.send(
                "GET", "/v1/sessions", as: without, headers: [("Sec-Fetch-Site", "cross-site")])
            #expect(read.status == 200)
            for headers in [[], [own], [("Sec-Fetch-Site", "same-origin"), ("Origin", "null")]] {
                let next = try await rig.logIn()
                let response = try await rig.send("DELETE", "/v1/sessions/\(next.id)", as: browser, headers: headers)
                #expect(response.status == 204, "\(headers) \(response.text)")
                #expect(response.headers["Content-Length"] == nil)
            }
        }
    }

    @Test func anotherSiteCannotLogABrowserIn() async throws {
        try await AccountRig.with { rig in
            try await rig.addUser()
            for header in [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")] {
                let response = try await rig.tryLogIn(headers: [header])
                #expect(response.status == 403 && response.headers["Set-Cookie"] == nil)
            }
            let form = try await rig.client.send(
                HTTPRequest(
                    method: "POST", url: "http://127.0.0.1:\(rig.port)/v1/sessions",
                    headers: ["Content-Type": "text/plain"],
                    body: Array(#"{"email":"office@example.com","password":"\#(AccountRig.password)"}"#.utf8)))
            #expect(form.status == 415, "what a form can send is no log-in")
        }
    }

    @Test func aKeyNeedsNoTokenAndCountsBeforeACookie() async throws {
        try await AccountRig.with { rig in
            try await rig.addUser(role: .admin)
            let browser = try await rig.logIn()
            let key = try await rig.addKey(.sales)
            let headers = [("Cookie", browser.cookie), ("Origin", "https://elsewhere.example")]
            let response = try await rig.send("POST", "/v1/jobs", "{}", key: key, headers: headers)
            #expect(response.status == 400 && response.problemType == "idempotency-key-missing")
            #expect(try await rig.send("GET", "/v1/users", key: key, headers: headers).status == 403)
            let me = try await rig.send("GET", "/v1/me", key: key)
            #expect(try me.json["kind"] as? String == "api_key" && me.json["csrf_token"] == nil)
            #expect(try await rig.send("DELETE", "/v1/sessions/current", key: key).status == 404)
        }
    }

    @Test func aLogOutCountsAtOnceAndTakesTheCookie() async throws {
        try await AccountRig.with { rig in
            let user = try await rig.addUser()
            let (browser, other) = (try await rig.logIn(), try await rig.logIn())
            let out = try await rig.send("DELETE", "/v1/sessions/current", as: browser)
            #expect(out.status == 204)
            #expect(out.headers["Set-Cookie"] == "neff_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax")
            #expect(try await rig.send("GET", "/v1/me", as: browser).status == 401)
            #expect(try await rig.send("GET", "/v1/me", as: other).status == 200)
            let ends = try await rig.record(.beginSession, .endSession)
            #expect(ends.map(\.act) == [.beginSession, .beginSession, .endSession])
            #expect(ends.last?.subject == browser.id && ends.last?.actor.id == user.id.rawValue)
        }
    }

    @Test func usersSeeAndEndTheirOwnSessionsOnly() async throws {
        try await AccountRig.with { rig in
            try await rig.addUser()
            try await rig.addUser("other@example.com")
            let (mine, second) = (try await rig.logIn(), try await rig.logIn())
            let others = try await rig.logIn("other@example.com")
            let list = try await rig.send("GET", "/v1/sessions", as: mine)
            let items = try #require(list.json["items"] as? [[String: Any]])
            #expect(Set(items.compactMap { $0["id"] as? String }) == [mine.id, second.id])
            #expect(items.filter { $0["current"] as? Bool == true }.compactMap { $0["id"] as? String } == [mine.id])
            for id in [others.id, "ses_00000000000000000000000000", "x"] {
                #expect(try await rig.send("DELETE", "/v1/sessions/\(id)", as: mine).status == 404)
            }
            #expect(try await rig.send("GET", "/v1/me", as: others).status == 200)
            #expect(try await rig.send("DELETE", "/v1/sessions/\(second.id)", as: mine).status == 204)
            #expect(try await rig.send("GET", "/v1/me", as: second).status == 401)
        }
    }

    @Test func aSessionEndsWithoutUseAndAfterItsDay() async throws {
        try await AccountRig.with { rig in
            try await rig.addUser()
            let idle = try await rig.logIn()
            let busy = try await rig.logIn()
            for _ in 0..<2 {
                rig.clock.now += 1_800
                #expect(try await rig.send("GET", "/v1/me", as: busy).status == 200)
            }
            #expect(try await rig.send("GET", "/v1/me", as: idle).status == 401, "an hour without a request")
            for _ in 0..<22 {
                rig.clock.now += 1_799
                #expect(try await rig.send("GET", "/v1/me", as: busy).status == 200)
            }
            rig.clock.now += 22
            #expect(try await rig.send("GET", "/v1/me", as: busy).status == 401, "twelve hours")
            _ = try await rig.logIn()
            let left: Int = try await rig.pool.query("select count(*) as n from user_sessions")[0]["n"]
            #expect(left == 1, "what has ended is tidied up at the next log-in")
        }
    }

    // MARK: One's password

    @Test func aPasswordIsChangedByWhoeverKnowsThePresentOneAndEndsTheOtherSessions() async throws {
        try await AccountRig.with { rig in
            try await rig.addUser()
            let (browser, other) = (try await rig.logIn(), try await rig.logIn())
            func change(_ current: String, _ new: String) async throws -> HTTPResponse {
                try await rig.send(
                    "POST", "/v1/me/password", #"{"current_password":"\#(current)","new_password":"\#(new)"}"#,
                    as: browser)
            }
            let wrong = try await change("not the password", "eleven green lanterns")
            #expect(wrong.status == 422 && wrong.invalidFields == ["/current_password"])
            for bad in ["short", "password12345!", "office@example.com"] {
                #expect(try await change(AccountRig.password, bad).invalidFields == ["/new_password"], "\(bad)")
            }
            #expect(try await change(AccountRig.password, "eleven green lanterns").status == 204)
            #expect(try await rig.send("GET", "/v1/me", as: browser).status == 200)
            #expect(try await rig.send("GET", "/v1/me", as: other).status == 401)
            #expect(try await rig.tryLogIn().status == 401)
            #expect(try await rig.tryLogIn("office@example.com", "eleven green lanterns").status == 201)
            #expect(try await rig.record(.setPassword).count == 1)
        }
    }
}
