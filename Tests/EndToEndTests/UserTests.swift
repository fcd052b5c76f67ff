import Foundation
import Testing
import Transport

/// Users at the terminal and over the API of the built program, each process with the rights of its role and no others.
@Suite(.serialized, .timeLimit(.minutes(5))) struct UserTests {
    private static let password = "seven purple wheelbarrows"

    private static func logIn(
        _ neff: Installation, _ email: String, _ password: String = password
    ) async throws -> HTTPResponse {
        try await post(neff, "/v1/sessions", #"{"email":"\#(email)","password":"\#(password)"}"#)
    }

    private static func post(_ neff: Installation, _ path: String, _ body: String) async throws -> HTTPResponse {
        try await neff.http.send(
            HTTPRequest(
                method: "POST", url: neff.ingress + path, headers: ["Content-Type": "application/json"],
                body: Array(body.utf8), timeout: .seconds(30)))
    }

    /// What a browser with the cookie of this log-in is answered.
    private static func get(_ neff: Installation, _ path: String, after logIn: HTTPResponse) async throws -> Int {
        let cookie = try #require(
            logIn.headers["Set-Cookie"], "\(logIn.status) \(String(decoding: logIn.body, as: UTF8.self))"
        ).prefix { $0 != ";" }
        return try await neff.http.send(
            HTTPRequest(url: neff.ingress + path, headers: ["Cookie": String(cookie)], timeout: .seconds(30))
        ).status
    }

    @Test func theFirstAdministratorComesWithATokenFromATerminal() async throws {
        try await Installation.with { neff in
            #expect(try await neff.run("users", "list").contains("There are no users"))
            let (code, token, errors) = try await neff.execute(["users", "bootstrap"])
            #expect(code == 0 && errors.contains("Good for an hour"), "\(errors)")
            #expect(token.utf8.count == 44 && token.hasSuffix("\n"), "the token and nothing else")
            try await neff.start("ingress", "ingress")
            let person = #""email":"admin@example.com","name":"Admin One","password":"\#(Self.password)""#
            let body = #"{"token":"\#(token.dropLast())",\#(person)}"#
            #expect(try await Self.post(neff, "/v1/bootstrap", body).status == 201)
            #expect(try await Self.post(neff, "/v1/bootstrap", body).status == 401)
            let admin = try await Self.logIn(neff, "admin@example.com")
            #expect(admin.status == 201, "\(String(decoding: admin.body, as: UTF8.self))")
            #expect(try await Self.get(neff, "/v1/users", after: admin) == 200)

            let late = try await neff.execute(["users", "bootstrap"])
            #expect(late.code == 65 && late.errors.contains("There is an administrator already"), "\(late.errors)")
            let last = try await neff.execute(["users", "disable", "admin@example.com"])
            #expect(last.code == 65 && last.errors.contains("last administrator"), "\(last.errors)")
            #expect(
                !neff.log(of: "ingress").contains(Self.password) && !neff.log(of: "ingress").contains(token.dropLast()))
        }
    }

    @Test func usersAreMadeChangedAndDisabledAtATerminal() async throws {
        try await Installation.with { neff in
            let create = ["users", "create", "--email", "office@example.com", "--name", "Office", "--role", "office"]
            let wrong: [([String], String?, Int32, String)] = [
                (create + ["--password", Self.password], nil, 64, "--password"), (create, nil, 65, "holds no password"),
                (create, "short\n", 65, "at least 12"), (create, "password1234\n", 65, "guess"),
                (create.map { $0 == "office" ? "service" : $0 }, Self.password, 64, "for API keys"),
                (create.map { $0 == "office@example.com" ? "office" : $0 }, Self.password, 64, "--email"),
                (["users", "enable", "nobody@example.com"], nil, 65, "There is no user nobody@example.com"),
            ]
            for (arguments, input, expected, words) in wrong {
                let (code, _, errors) = try await neff.execute(arguments, input: input)
                #expect(code == expected && errors.contains(words), "\(arguments): \(code) \(errors)")
            }
            let made = try await neff.execute(create, input: Self.password + "\n")
            #expect(made.code == 0, "\(made.errors)")
            let again = try await neff.execute(create, input: Self.password + "\n")
            #expect(again.code == 65 && again.errors.contains("Another user"), "\(again.errors)")

            try await neff.start("ingress", "ingress")
            let session = try await Self.logIn(neff, "office@example.com")
            #expect(try await Self.get(neff, "/v1/dead-letters", after: session) == 403)
            try await neff.run("users", "set-role", "OFFICE@example.com", "--role", "ops")
            #expect(try await Self.get(neff, "/v1/dead-letters", after: session) == 200)
            try await neff.run("users", "disable", "office@example.com")
            #expect(try await Self.get(neff, "/v1/me", after: session) == 401)
            #expect(try await Self.logIn(neff, "office@example.com").status == 401)
            try await neff.run("users", "enable", "office@example.com")
            let reset = try await neff.execute(
                ["users", "reset-password", "office@example.com", "--as", "night shift"],
                input: "eleven green lanterns\n")
            #expect(reset.code == 0, "\(reset.errors)")
            #expect(try await Self.logIn(neff, "office@example.com").status == 401)
            #expect(try await Self.logIn(neff, "office@example.com", "eleven green lanterns").status == 201)

            let log = try await neff.run("users", "log")
            for words in ["user.create", "session.begin", "session.refuse", "permission.refuse", "night shift"] {
                #expect(log.contains(words), "\(words) in \(log)")
            }
            let list = try await neff.run("users", "list", "--json")
            #expect(list.contains(#""role":"ops""#) && !list.contains("scrypt"))
        }
    }
}
