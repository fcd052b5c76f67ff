import Domain
import Foundation
import Persistence
import TestSupport
import Testing
import Transport

/// Administration of users and keys over the API.
@Suite(.timeLimit(.minutes(2))) struct UsersAPITests {
    private static func body(
        _ email: String, name: String = "Maria Gonzalez", role: String? = "office",
        password: String = AccountRig.password, more: String = ""
    ) -> String {
        let role = role.map { #","role":"\#($0)""# } ?? ""
        return #"{"email":"\#(email)","name":"\#(name)","password":"\#(password)"\#(role)\#(more)}"#
    }

    // MARK: The first administrator

    @Test func theFirstAdministratorComesWithAToken() async throws {
        try await AccountRig.with { rig in
            let token = try #require(
                try await Bootstrap.makeToken(by: AccessActor(name: "test"), at: rig.clock.now, on: rig.pool))
            func bootstrap(_ token: String, password: String = AccountRig.password) async throws -> HTTPResponse {
                try await rig.send(
                    "POST", "/v1/bootstrap",
                    Self.body("admin@example.com", role: nil, password: password, more: #","token":"\#(token)""#))
            }
            for wrong in ["x", SecretToken.make().text] {
                let response = try await bootstrap(wrong)
                #expect(response.status == 401 && response.problemType == "unauthenticated")
            }
            let weak = try await bootstrap(token.text, password: "password1234")
            #expect(weak.status == 422 && weak.invalidFields == ["/password"])
            let made = try await bootstrap(token.text)
            #expect(made.status == 201, "\(made.text)")
            #expect(try made.json["role"] as? String == "admin")
            #expect(try await bootstrap(token.text).status == 401, "the token is used up")
            let admin = try await rig.logIn("admin@example.com")
            #expect(try await rig.send("GET", "/v1/users", as: admin).status == 200)
        }
    }

    @Test func onceThereIsAnAdministratorNoTokenHelps() async throws {
        try await AccountRig.with { rig in
            let token = try #require(
                try await Bootstrap.makeToken(by: AccessActor(name: "test"), at: rig.clock.now, on: rig.pool))
            try await rig.addUser("admin@example.com", role: .admin)
            let response = try await rig.send(
                "POST", "/v1/bootstrap",
                Self.body("second@example.com", role: nil, more: #","token":"\#(token.text)""#))
            #expect(response.status == 409 && response.problemType == "illegal-transition")
            #expect(try await UserRepository(pool: rig.pool).list().count == 1)
        }
    }

    // MARK: Users

    @Test func whatIsWrongWithANewUserIsListed() async throws {
        try await AccountRig.with { rig in
            let key = try await rig.addKey(.admin)
            let wrong: [(String, [String])] = [
                ("{}", ["/email", "/name", "/password", "/role"]),
                (Self.body("no address"), ["/email"]), (Self.body("a@example.com", role: "service"), ["/role"]),
                (Self.body("a@example.com", role: "king"), ["/role"]),
                (Self.body("maria@example.com", password: "mariagonzalez"), ["/password"]),
                (Self.body("a@example.com", more: #","admin":true"#), ["/admin"]),
            ]
            for (body, fields) in wrong {
                let response = try await rig.send("POST", "/v1/users", body, key: key)
                #expect(response.status == 422 && response.invalidFields == fields, "\(body): \(response.text)")
            }
            #expect(try await rig.send("POST", "/v1/users", Self.body("a@example.com"), key: key).status == 201)
            let taken = try await rig.send("POST", "/v1/users", Self.body("A@Example.com"), key: key)
            #expect(taken.status == 422 && taken.invalidFields == ["/email"])
        }
    }

    @Test func aUserIsMadeReadChangedAndDisabled() async throws {
        try await AccountRig.with { rig in
            try await rig.addUser("admin@example.com", role: .admin)
            let admin = try await rig.logIn("admin@example.com")
            let made = try await rig.send("POST", "/v1/users", Self.body("maria@example.com"), as: admin)
            let path = try #require(made.headers["Location"])
            #expect(made.status == 201 && made.headers["ETag"] == "\"1\"")
            #expect(!made.text.contains("password_hash") && !made.text.contains("scrypt"))
            let maria = try await rig.logIn("maria@example.com")
            #expect(try await rig.send("GET", "/v1/dead-letters", as: maria).status == 403)
            func change(_ body: String, ifMatch: String? = nil) async throws -> HTTPResponse {
                try await rig.send(
                    "PATCH", path, body, as: admin, headers: ifMatch.map { [("If-Match", $0)] } ?? [])
            }
            for bad in ["{}", #"{"email":"x@example.com"}"#, #"{"disabled":"yes"}"#, #"{"role":"service"}"#] {
                #expect(try await change(bad).status == 422, "\(bad)")
            }
            #expect(try await change(#"{"name":"x"}"#, ifMatch: "\"7\"").status == 412)
            let promoted = try await change(#"{"role":"dispatcher"}"#, ifMatch: "\"1\"")
            #expect(promoted.status == 200 && promoted.headers["ETag"] == "\"2\"")
            #expect(try await rig.send("GET", "/v1/dead-letters", as: maria).status == 200, "at once")
            #expect(
                try await rig.send("GET", path, as: admin, headers: [("If-None-Match", "\"2\"")]).status == 304)
            let disabled = try await change(#"{"disabled":true}"#)
            #expect(try disabled.json["disabled"] as? Bool == true)
            #expect(try await rig.send("GET", "/v1/me", as: maria).status == 401, "at once")
            #expect(try await rig.tryLogIn("maria@example.com").status == 401)
            #expect(try await change(#"{"disabled":false}"#).status == 200)
            #expect(try await rig.tryLogIn("maria@example.com").status == 201)
            for missing in ["usr_00000000000000000000000000", "x"] {
                #expect(try await rig.send("GET", "/v1/users/\(missing)", as: admin).status == 404)
            }
            let changes = try await rig.record(.changeUser)
            #expect(
                changes.map(\.details) == [
                    ["role": "office -> dispatcher"], ["disabled": "false -> true"], ["disabled": "true -> false"],
                ])
            #expect(changes.allSatisfy { $0.actor.name == "user:admin" && $0.actor.address == "127.0.0.1" })
        }
    }

    @Test func theLastAdministratorCannotGo() async throws {
        try await AccountRig.with { rig in
            let user = try await rig.addUser("admin@example.com", role: .admin)
            let admin = try await rig.logIn("admin@example.com")
            for body in [#"{"role":"office"}"#, #"{"disabled":true}"#] {
                let response = try await rig.send("PATCH", "/v1/users/\(user.id)", body, as: admin)
                #expect(response.status == 409 && response.problemType == "illegal-transition")
            }
            try await rig.addUser("second@example.com", role: .admin)
            let response = try await rig.send("PATCH", "/v1/users/\(user.id)", #"{"disabled":true}"#, as: admin)
            #expect(response.status == 200)
        }
    }

    @Test func aResetPasswordCountsAtOnceAndEndsSessionsAndWaits() async throws {
        try await AccountRig.with { rig in
            let key = try await rig.addKey(.admin)
            let user = try await rig.addUser()
            let browser = try await rig.logIn()
            let path = "/v1/users/\(user.id)/reset-password"
            let weak = try await rig.send("POST", path, #"{"password":"office@example.com"}"#, key: key)
            #expect(weak.invalidFields == ["/password"])
            #expect(try await rig.send("POST", "/v1/users/x/reset-password", "{}", key: key).status == 404)
            for _ in 0..<6 {
                _ = try await LogInThrottle.admit([.account(email: user.email)], at: rig.clock.now, on: rig.pool)
            }
            #expect(try await rig.tryLogIn().status == 429)
            let reset = try await rig.send("POST", path, #"{"password":"eleven green lanterns"}"#, key: key)
            #expect(reset.status == 200, "\(reset.text)")
            #expect(try await rig.send("GET", "/v1/me", as: browser).status == 401)
            #expect(try await rig.tryLogIn("office@example.com", "eleven green lanterns").status == 201)
            #expect(try await rig.tryLogIn().status == 401)
        }
    }

    // MARK: Keys

    @Test func aKeyIsShownOnceWorksAndIsRevoked() async throws {
        try await AccountRig.with { rig in
            let admin = try await rig.addKey(.admin)
            let wrong: [(String, [String])] = [
                ("{}", ["/name", "/role"]), (#"{"name":"r","role":"king"}"#, ["/role"]),
                (#"{"name":"r","role":"service","expires_at":"2001-01-01T00:00:00Z"}"#, ["/expires_at"]),
            ]
            for (body, fields) in wrong {
                #expect(try await rig.send("POST", "/v1/api-keys", body, key: admin).invalidFields == fields)
            }
            let made = try await rig.send("POST", "/v1/api-keys", #"{"name":"Reports","role":"sales"}"#, key: admin)
            #expect(made.status == 201, "\(made.text)")
            let secret = try #require(made.json["secret"] as? String)
            let id = try #require(made.json["id"] as? String)
            #expect(try await rig.send("GET", "/v1/jobs", key: secret).status == 200)
            let list = try await rig.send("GET", "/v1/api-keys", key: admin)
            #expect(list.text.contains(id) && !list.text.contains(secret))
            for _ in 0..<2 {
                let revoked = try await rig.send("POST", "/v1/api-keys/\(id)/revoke", key: admin)
                #expect(try revoked.status == 200 && revoked.json["revoked_at"] != nil)
            }
            #expect(try await rig.send("POST", "/v1/api-keys/x/revoke", key: admin).status == 404)
            rig.clock.now += 30
            #expect(try await rig.send("GET", "/v1/jobs", key: secret).status == 401)
            let events = try await rig.record(.createKey, .revokeKey).filter { $0.subject == id }
            #expect(events.map(\.act) == [.createKey, .revokeKey], "the second revocation was none")
            #expect(events.allSatisfy { $0.actor.name == "key:admin key" })
        }
    }

    @Test func usersAndKeysAreListedInPages() async throws {
        try await AccountRig.with { rig in
            let ops = try await rig.addKey(.ops)
            for index in 0..<4 {
                rig.clock.now += 1
                try await rig.addUser("user\(index)@example.com")
                _ = try await rig.addKey(.service)
            }
            for (path, count, member, first) in [
                ("/v1/users", 4, "email", "user0@example.com"), ("/v1/api-keys", 5, "name", "service key"),
            ] {
                var (names, cursor): ([String], String?) = ([], nil)
                repeat {
                    let query = cursor.map { "&cursor=\($0)" } ?? ""
                    let page = try await rig.send("GET", "\(path)?limit=2\(query)", key: ops)
                    let items = try #require(page.json["items"] as? [[String: Any]], "\(page.text)")
                    #expect(items.count <= 2)
                    names += items.compactMap { $0[member] as? String }
                    cursor = try page.json["next_cursor"] as? String
                } while cursor != nil
                #expect(names.count == count && names.first == first, "\(path): \(names)")
                for bad in ["cursor=x", "limit=0", "limit=201", "role=admin"] {
                    #expect(try await rig.send("GET", "\(path)?\(bad)", key: ops).status == 400, "\(path) \(bad)")
                }
            }
        }
    }

    // MARK: The record

    @Test func theRecordIsReadInPages() async throws {
        try await AccountRig.with { rig in
            let ops = try await rig.addKey(.ops)
            try await rig.addUser()
            for _ in 0..<3 { _ = try await rig.logIn() }
            let path = "/v1/access-log?act=session.begin&limit=2"
            let first = try await rig.send("GET", path, key: ops)
            let cursor = try #require(first.json["next_cursor"] as? String)
            #expect((try first.json["items"] as? [[String: Any]])?.count == 2)
            let second = try await rig.send("GET", path + "&cursor=\(cursor)", key: ops)
            #expect((try second.json["items"] as? [[String: Any]])?.count == 1)
            #expect(try second.json["next_cursor"] is NSNull)
            for bad in ["act=session.x", "cursor=x", "cursor=0", "limit=0", "subject=", "who=me"] {
                #expect(try await rig.send("GET", "/v1/access-log?\(bad)", key: ops).status == 400, "\(bad)")
            }
        }
    }
}
