package import Logging
package import Postgres

/// The log-in roles of the services: one for each, a member of its group role and of nothing else.
package struct ServiceLogins: Sendable {
    /// What became of a log-in.
    package enum Outcome: String, Sendable {
        case made, changed, unchanged
    }

    /// Something that is not as it should be, and what to do about it.
    package struct Finding: Hashable, Sendable, CustomStringConvertible {
        package let login: String
        package let problem: String
        package let remedy: String

        package var description: String { "\(login): \(problem)\n  → \(remedy)" }
    }

    /// What the names of the log-ins begin with.
    ///
    /// Roles belong to the whole server: a second installation on one server needs another prefix.
    package static let standardPrefix = "neff_login_"

    /// Two at once may both find that there is work to do; the one that comes late looks again.
    private static let tries = 5

    private let prefix: String
    private let logger: Logger

    package init(prefix: String = standardPrefix, logger: Logger) {
        self.prefix = prefix
        self.logger = logger
    }

    /// The name of a service's log-in role.
    package func login(of role: ServiceRole) -> String { prefix + role.rawValue }

    /// Makes or changes a service's log-in so that it opens with the password and has the rights of its group only.
    ///
    /// What is right already stays untouched, the password as well: whether it is right is tried by logging in.
    /// - Parameter configuration: the server, as a user who may make roles.
    /// - Throws: `PostgresError`; `schemaTooOld` if the group role is missing.
    package func apply(
        _ role: ServiceRole, password: String, to configuration: PostgresConfiguration
    ) async throws -> Outcome {
        let connection = try await PostgresConnection.connect(configuration, logger: logger)
        do {
            let outcome = try await apply(role, password: password, to: configuration, over: connection)
            await connection.close()
            return outcome
        } catch {
            await connection.close()
            throw error
        }
    }

    private func apply(
        _ role: ServiceRole, password: String, to configuration: PostgresConfiguration,
        over connection: PostgresConnection
    ) async throws -> Outcome {
        let login = login(of: role)
        var tries = 1
        while true {
            do {
                let found = try await state(of: role, over: connection)
                var statements = repairs(of: role, found)
                var isOpen = found?.canLogIn ?? false
                if isOpen { isOpen = await opens(login, password: password, at: configuration) }
                if !isOpen {
                    let verifier = try await connection.passwordVerifier(password, of: login)
                    // Base64, digits, colons and dollars; nothing that would end the literal.
                    statements.append("alter role \(identifier: login) password \(unescaped: "'\(verifier)'")")
                }
                guard !statements.isEmpty else { return .unchanged }
                _ = try await connection.pipeline(statements)
                return found == nil ? .made : .changed
            } catch let error as PostgresError where Self.isRace(error) && tries < Self.tries {
                tries += 1
                try await Task.sleep(for: .milliseconds(20 * tries))
            }
        }
    }

    /// What is wrong with the log-ins, without changing anything.
    ///
    /// - Throws: `PostgresError`.
    package func verify(on configuration: PostgresConfiguration) async throws -> [Finding] {
        let connection = try await PostgresConnection.connect(configuration, logger: logger)
        do {
            var findings: [Finding] = []
            for role in ServiceRole.allCases {
                let login = login(of: role)
                guard let found = try await state(of: role, over: connection) else {
                    findings.append(
                        Finding(login: login, problem: "there is no such role", remedy: "Run `neff roles apply`."))
                    continue
                }
                findings += found.problems.map { Finding(login: login, problem: $0, remedy: "Run `neff roles apply`.") }
            }
            await connection.close()
            return findings
        } catch {
            await connection.close()
            throw error
        }
    }

    // MARK: One log-in

    /// A log-in role as the server has it.
    private struct State {
        var canLogIn: Bool
        var inherits: Bool
        /// Attributes that reach past every grant, as `alter role` names them.
        var excess: [String]
        var isMember: Bool
        /// Other roles whose rights it has.
        var otherGroups: [String]

        var problems: [String] {
            var problems = excess.map { "it has \($0), which no service needs" }
            if !canLogIn { problems.append("it may not log in") }
            if !isMember || !inherits { problems.append("it lacks the rights of its group role") }
            problems += otherGroups.map { "it also has the rights of \($0)" }
            return problems
        }
    }

    private func state(of role: ServiceRole, over connection: PostgresConnection) async throws -> State? {
        let groups = try await connection.query("select 1 as found from pg_roles where rolname = \(role.group)")
        guard !groups.isEmpty else {
            throw PostgresError(.schemaTooOld, "the group role \(role.group) is missing from the server.")
        }
        let rows = try await connection.query(
            """
            select rolcanlogin, rolinherit, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
                array(
                    select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid
                    where m.member = r.oid order by 1
                ) as groups
            from pg_roles r where rolname = \(login(of: role))
            """)
        guard let row = rows.first else { return nil }
        var excess: [String] = []
        for (column, attribute) in [
            ("rolsuper", "superuser"), ("rolcreaterole", "createrole"), ("rolcreatedb", "createdb"),
            ("rolreplication", "replication"), ("rolbypassrls", "bypassrls"),
        ] where try row.decode(column, as: Bool.self) {
            excess.append(attribute)
        }
        let memberships = try row.decode("groups", as: [String].self)
        return State(
            canLogIn: try row.decode("rolcanlogin"), inherits: try row.decode("rolinherit"), excess: excess,
            isMember: memberships.contains(role.group), otherGroups: memberships.filter { $0 != role.group })
    }

    /// The statements that bring a role from what was found to what it should be. Attributes that are right are not
    /// named, because some may be named by superusers only.
    private func repairs(of role: ServiceRole, _ found: State?) -> [SQL] {
        let login = login(of: role)
        guard let found else {
            return [
                "create role \(identifier: login) login",
                "grant \(identifier: role.group) to \(identifier: login)",
            ]
        }
        var statements = found.excess.map { attribute in
            "alter role \(identifier: login) \(unescaped: "no" + attribute)" as SQL
        }
        if !found.canLogIn { statements.append("alter role \(identifier: login) login") }
        if !found.inherits { statements.append("alter role \(identifier: login) inherit") }
        if !found.isMember { statements.append("grant \(identifier: role.group) to \(identifier: login)") }
        statements += found.otherGroups.map { group in "revoke \(identifier: group) from \(identifier: login)" }
        return statements
    }

    private func opens(_ login: String, password: String, at configuration: PostgresConfiguration) async -> Bool {
        let own = configuration.withParameter("user", login).withParameter("password", password)
        guard let connection = try? await PostgresConnection.connect(own, logger: logger) else { return false }
        // A server that lets anybody in from here has not looked at the password.
        let isProof = await connection.hasUsedPassword
        await connection.close()
        return isProof
    }

    private static func isRace(_ error: PostgresError) -> Bool {
        // PostgreSQL reports a catalogue row that changed under it ("tuple concurrently updated") as an internal error.
        error.sqlState == .uniqueViolation || error.sqlState == .duplicateObject || error.sqlState == .internalError
    }
}
