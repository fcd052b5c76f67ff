import Logging
import Persistence
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct ServiceLoginsTests {
    private func withLogins(
        _ body: (ServiceLogins, PostgresConfiguration) async throws -> Void
    ) async throws {
        let prefix = makePrefix()
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let outcome: Result<Void, any Error>
            do {
                outcome = .success(try await body(ServiceLogins(prefix: prefix, logger: .silent), pool.configuration))
            } catch {
                outcome = .failure(error)
            }
            try await dropLogIns(prefix)
            try outcome.get()
        }
    }

    /// Opens a session and closes it again.
    private func logIn(_ login: String, _ password: String, _ server: PostgresConfiguration) async throws {
        let own = server.withParameter("user", login).withParameter("password", password)
        try await PostgresConnection.connect(own, logger: .silent).close()
    }

    @Test func aSecondTimeChangesNothing() async throws {
        try await withLogins { logins, server in
            let first = try await logins.apply(.sync, password: "one", to: server)
            let second = try await logins.apply(.sync, password: "one", to: server)
            #expect(first == .made)
            #expect(second == .unchanged)
        }
    }

    @Test func anotherPasswordReplacesTheFirst() async throws {
        try await withLogins { logins, server in
            let login = logins.login(of: .ingress)
            _ = try await logins.apply(.ingress, password: "one", to: server)
            #expect(try await logins.apply(.ingress, password: "two 'quoted' \\ ü", to: server) == .changed)
            try await logIn(login, "two 'quoted' \\ ü", server)
            let refused = await #expect(throws: PostgresError.self) { try await logIn(login, "one", server) }
            #expect(refused?.code == .authenticationFailed)
        }
    }

    @Test func severalAtOnceAgree() async throws {
        try await withLogins { logins, server in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<6 {
                    group.addTask { _ = try await logins.apply(.sync, password: "same", to: server) }
                }
                try await group.waitForAll()
            }
            #expect(try await logins.apply(.sync, password: "same", to: server) == .unchanged)
        }
    }

    @Test func whatALoginHasTooMuchIsFoundAndTakenAway() async throws {
        try await withLogins { logins, server in
            for role in ServiceRole.allCases { _ = try await logins.apply(role, password: "one", to: server) }
            #expect(try await logins.verify(on: server) == [])
            let login = logins.login(of: .notification)
            let connection = try await PostgresConnection.connect(server, logger: .silent)
            _ = try await connection.query("alter role \(identifier: login) createdb noinherit")
            _ = try await connection.query("grant neff_sync to \(identifier: login)")
            await connection.close()
            let problems = try await logins.verify(on: server).map(\.problem)
            #expect(
                problems == [
                    "it has createdb, which no service needs", "it lacks the rights of its group role",
                    "it also has the rights of neff_sync",
                ])
            #expect(try await logins.apply(.notification, password: "one", to: server) == .changed)
            #expect(try await logins.verify(on: server) == [])
        }
    }

    @Test func aMissingLoginIsFound() async throws {
        try await withLogins { logins, server in
            let findings = try await logins.verify(on: server)
            #expect(findings.map(\.login) == ServiceRole.allCases.map { logins.login(of: $0) })
            #expect(findings.allSatisfy { $0.remedy.contains("neff roles apply") })
        }
    }

    @Test func whoMayNotMakeRolesIsRefused() async throws {
        try await withLogins { logins, server in
            _ = try await logins.apply(.sync, password: "one", to: server)
            let sync = server.withParameter("user", logins.login(of: .sync)).withParameter("password", "one")
            let refused = await #expect(throws: PostgresError.self) {
                try await logins.apply(.ingress, password: "two", to: sync)
            }
            #expect(refused?.sqlState == .insufficientPrivilege)
            #expect(refused?.description.contains("two") == false)
        }
    }

    @Test(arguments: ["", "a\0b"])
    func aPasswordThatCannotBeOneIsRefused(password: String) async throws {
        try await withLogins { logins, server in
            let refused = await #expect(throws: PostgresError.self) {
                try await logins.apply(.sync, password: password, to: server)
            }
            #expect(refused?.code == .invalidParameter)
        }
    }
}
