import Domain
package import Foundation
package import Postgres

/// The table of users. Each change and its entry in the access log are one transaction.
package struct UserRepository: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    // MARK: Reading

    /// Users by name, then by id.
    ///
    /// - Throws: `PostgresError`.
    package func list() async throws -> [User] {
        try await pool.query("select \(Self.columns) from users order by lower(name), id").map(Self.decode)
    }

    /// Users in the order of their making.
    ///
    /// - Throws: `PostgresError`.
    package func page(after id: UserID?, limit: Int) async throws -> [User] {
        try await pool.query(
            "select \(Self.columns) from users where id > \(id?.rawValue ?? "") order by id limit \(limit)"
        ).map(Self.decode)
    }

    /// - Throws: `PostgresError`.
    package func find(_ id: UserID) async throws -> User? {
        try await pool.query("select \(Self.columns) from users where id = \(id.rawValue)").first.map(Self.decode)
    }

    /// Compares without regard to case.
    ///
    /// - Throws: `PostgresError`.
    package func find(email: String) async throws -> User? {
        try await credentials(email: email)?.user
    }

    /// A user together with the hash of the password.
    package struct Credentials: Sendable {
        package var user: User
        package var password: PasswordHash
    }

    /// Compares without regard to case. Only ASCII is looked up: the database takes some other letters for spellings of ASCII
    /// ones (`İ` of `i`), the throttle does not, and each such spelling would be another account to it.
    ///
    /// - Throws: `PostgresError`.
    package func credentials(email: String) async throws -> Credentials? {
        guard email.utf8.allSatisfy({ $0 < 0x80 }) else { return nil }
        return try await pool.query(
            "select \(Self.columns), password_hash from users where lower(email) = lower(\(email)::text)"
        ).first.map(Self.decodeCredentials)
    }

    /// - Throws: `PostgresError`.
    package func credentials(_ id: UserID) async throws -> Credentials? {
        try await pool.query("select \(Self.columns), password_hash from users where id = \(id.rawValue)").first
            .map(Self.decodeCredentials)
    }

    // MARK: Changing

    /// Makes a user.
    ///
    /// - Returns: nil if another user has the e-mail address.
    /// - Throws: `PostgresError`.
    package func create(_ new: NewUser, by actor: AccessActor, at now: Date = Date()) async throws -> User? {
        try await pool.withTransaction { transaction in
            try await Self.insert(new, .createUser, by: actor, at: now, in: transaction)
        }
    }

    static func insert(
        _ new: NewUser, _ act: AccessEvent.Act, by actor: AccessActor, at now: Date, in transaction: Transaction
    ) async throws -> User? {
        let user = try await transaction.query(
            """
            insert into users (id, email, name, role, password_hash, password_changed_at, created_at, updated_at)
            values (\(UserID.make(at: now).rawValue), \(new.email), \(new.name), \(new.role.rawValue),
                \(new.password.text), \(now), \(now), \(now))
            on conflict (lower(email)) do nothing returning \(columns)
            """
        ).first.map(decode)
        guard let user else { return nil }
        var creator = actor
        if creator.name == nil {
            // The first administrator makes itself.
            creator.name = "user:\(user.name)"
            creator.id = user.id.rawValue
        }
        try await AccessLog.append(
            AccessEvent(act, by: creator, subject: user.id.rawValue, details: ["role": user.role.rawValue]), at: now,
            in: transaction)
        return user
    }

    /// How a change ended.
    package enum ChangeResult: Hashable, Sendable {
        case changed(User)
        case missing
        /// The user has changed since that version.
        case changedMeanwhile(User)
        /// Nobody could administrate users any more.
        case lastAdministrator
    }

    /// Changes name, role, or whether the user may log in. A user who may not any more loses all sessions at once.
    ///
    /// A change that changes nothing is none: it is not recorded, and the version stays.
    /// - Parameter version: the version that is to be changed; nil changes whatever is there.
    /// - Throws: `PostgresError`.
    package func change(
        _ id: UserID, _ change: UserChange, version: Int? = nil, by actor: AccessActor, at now: Date = Date()
    ) async throws -> ChangeResult {
        try await pool.withTransaction { transaction in
            // Two administrators who take each other's rights at once meet here: the second sees what the first did.
            let administrators = try await transaction.query(
                "select id from users where role = 'admin' and disabled_at is null order by id for update"
            ).map { try $0.decode("id", as: String.self) }
            let row = try await transaction.query(
                "select \(Self.columns) from users where id = \(id.rawValue) for update"
            ).first
            guard let before = try row.map(Self.decode) else { return .missing }
            if let version, version != before.version { return .changedMeanwhile(before) }
            var after = before
            after.name = change.name ?? before.name
            after.role = change.role ?? before.role
            if let isDisabled = change.isDisabled, isDisabled != before.isDisabled {
                after.disabledAt = isDisabled ? now : nil
            }
            if after == before { return .changed(before) }
            if administrators == [id.rawValue], after.role != .admin || after.isDisabled { return .lastAdministrator }
            after = try await Self.decode(
                transaction.query(
                    """
                    update users set name = \(after.name), role = \(after.role.rawValue),
                        disabled_at = \(after.disabledAt), version = version + 1, updated_at = \(now)
                    where id = \(id.rawValue) returning \(Self.columns)
                    """)[0])
            if after.isDisabled {
                _ = try await transaction.query("delete from user_sessions where user_id = \(id.rawValue)")
            }
            try await AccessLog.append(
                AccessEvent(
                    .changeUser, by: actor, subject: id.rawValue, details: Self.differences(before, after)),
                at: now, in: transaction)
            return .changed(after)
        }
    }

    /// Gives a user another password, and ends the user's sessions.
    ///
    /// - Parameters:
    ///   - session: the one session that goes on; nil ends all.
    ///   - replaced: the hash that the password is to take the place of; if it is not there any more, nothing changes.
    /// - Returns: nil if there is no such user, or the password has changed meanwhile.
    /// - Throws: `PostgresError`.
    package func setPassword(
        of id: UserID, to password: PasswordHash, replacing replaced: PasswordHash? = nil,
        keeping session: UserSessionID? = nil, by actor: AccessActor, at now: Date = Date()
    ) async throws -> User? {
        try await pool.withTransaction { transaction in
            let user = try await transaction.query(
                """
                update users set password_hash = \(password.text), password_changed_at = \(now), updated_at = \(now),
                    version = version + 1
                where id = \(id.rawValue) and (\(replaced?.text)::text is null or password_hash = \(replaced?.text))
                returning \(Self.columns)
                """
            ).first.map(Self.decode)
            guard let user else { return nil }
            _ = try await transaction.query(
                "delete from user_sessions where user_id = \(id.rawValue) and id is distinct from \(session?.rawValue)")
            // Whoever comes with the new password must not wait for what was tried with the old one.
            try await LogInThrottle.forgive(.account(email: user.email), in: transaction)
            try await AccessLog.append(
                AccessEvent(.setPassword, by: actor, subject: id.rawValue), at: now, in: transaction)
            return user
        }
    }

    /// What changed, before and after, in words.
    private static func differences(_ before: User, _ after: User) -> [String: String] {
        var differences: [String: String] = [:]
        func note(_ name: String, _ path: (User) -> String) {
            if path(before) != path(after) { differences[name] = "\(path(before)) -> \(path(after))" }
        }
        note("name") { $0.name }
        note("role") { $0.role.rawValue }
        note("disabled") { String($0.isDisabled) }
        return differences
    }

    static let columns: SQL = """
        id, email, name, role, password_changed_at, disabled_at, last_login_at, version, created_at, updated_at
        """

    static func decode(_ row: Row) throws -> User {
        User(
            id: try row.decodeRaw("id"), email: try row.decode("email"), name: try row.decode("name"),
            role: try row.decodeRaw("role"), passwordChangedAt: try row.decode("password_changed_at"),
            disabledAt: try row.decode("disabled_at"), lastLoginAt: try row.decode("last_login_at"),
            version: try row.decode("version"), createdAt: try row.decode("created_at"),
            updatedAt: try row.decode("updated_at"))
    }

    private static func decodeCredentials(_ row: Row) throws -> Credentials {
        guard let password = PasswordHash(text: try row.decode("password_hash")) else {
            throw PostgresError(.decodingFailed, "column password_hash holds no hash that this program can read")
        }
        return Credentials(user: try decode(row), password: password)
    }
}
