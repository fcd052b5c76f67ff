import Domain
package import Foundation
package import Postgres

/// The table of sessions.
package struct UserSessionRepository: Sendable {
    private let pool: PostgresPool
    private let limits: UserSession.Limits

    package init(pool: PostgresPool, limits: UserSession.Limits = UserSession.Limits()) {
        self.pool = pool
        self.limits = limits
    }

    /// Begins a session of a user who has just shown who they are, and forgives the account's failed attempts.
    ///
    /// - Parameters:
    ///   - rehashed: the same password under today's parameters, if its hash was weaker.
    ///   - verified: the hash that the password was checked against. If it has changed since, or the user has been
    ///     disabled, no session begins.
    /// - Returns: nil if the user may not log in any more.
    /// - Throws: `PostgresError`.
    package func begin(
        of user: User, token: SecretToken, verified: PasswordHash, rehashed: PasswordHash? = nil,
        userAgent: String?, by actor: AccessActor, at now: Date = Date()
    ) async throws -> UserSession? {
        let session = UserSession(
            id: UserSessionID.make(at: now), user: user.id, createdAt: now, lastSeenAt: now,
            expiresAt: now.addingTimeInterval(limits.absolute), address: actor.address, userAgent: userAgent)
        return try await pool.withTransaction { transaction in
            let updated = try await transaction.query(
                """
                update users set last_login_at = \(now), password_hash = coalesce(\(rehashed?.text), password_hash)
                where id = \(user.id.rawValue) and password_hash = \(verified.text) and disabled_at is null
                returning id
                """)
            guard !updated.isEmpty else { return nil }
            _ = try await transaction.query(
                """
                insert into user_sessions (id, user_id, token_sha256, created_at, last_seen_at, expires_at, address,
                    user_agent)
                values (\(session.id.rawValue), \(user.id.rawValue), \(token.digest), \(now), \(now),
                    \(session.expiresAt), \(session.address), \(userAgent))
                """)
            // Nobody else takes out what has ended by itself.
            _ = try await transaction.query(
                """
                delete from user_sessions
                where expires_at <= \(now) or user_id = \(user.id.rawValue)
                    and last_seen_at <= \(now.addingTimeInterval(-limits.idle))
                """)
            try await LogInThrottle.forgive(.account(email: user.email), in: transaction)
            try await AccessLog.append(
                AccessEvent(.beginSession, by: actor, subject: session.id.rawValue), at: now, in: transaction)
            return session
        }
    }

    /// The session with this token and its user, if it goes on and the user may log in; notes that it is in use, at most
    /// once a minute.
    ///
    /// - Throws: `PostgresError`.
    package func find(digest: [UInt8], at now: Date = Date()) async throws -> (session: UserSession, user: User)? {
        let idle = now.addingTimeInterval(-limits.idle)
        let row = try await pool.query(
            """
            with used as (
                update user_sessions set last_seen_at = \(now)
                where token_sha256 = \(digest) and expires_at > \(now) and last_seen_at > \(idle)
                    and last_seen_at < \(now.addingTimeInterval(-60))
                returning id
            )
            select \(Self.columns), \(Self.userColumns)
            from user_sessions s join users u on u.id = s.user_id
            where s.token_sha256 = \(digest) and s.expires_at > \(now) and s.last_seen_at > \(idle)
                and u.disabled_at is null
            """
        ).first
        guard let row else { return nil }
        return (try Self.decode(row), try UserRepository.decode(row))
    }

    /// A user's sessions that go on, the youngest first, 200 at most.
    ///
    /// - Throws: `PostgresError`.
    package func list(of user: UserID, at now: Date = Date()) async throws -> [UserSession] {
        try await pool.query(
            """
            select \(Self.columns) from user_sessions s
            where s.user_id = \(user.rawValue) and s.expires_at > \(now)
                and s.last_seen_at > \(now.addingTimeInterval(-limits.idle))
            order by s.id desc limit 200
            """
        ).map(Self.decode)
    }

    /// Ends one of a user's sessions.
    ///
    /// - Parameter act: `endSession` for a log-out, `revokeSession` for another browser's.
    /// - Returns: false if the user has no such session.
    /// - Throws: `PostgresError`.
    package func end(
        _ id: UserSessionID, of user: UserID, _ act: AccessEvent.Act, by actor: AccessActor, at now: Date = Date()
    ) async throws -> Bool {
        try await pool.withTransaction { transaction in
            let ended = try await transaction.query(
                "delete from user_sessions where id = \(id.rawValue) and user_id = \(user.rawValue) returning id")
            guard !ended.isEmpty else { return false }
            try await AccessLog.append(AccessEvent(act, by: actor, subject: id.rawValue), at: now, in: transaction)
            return true
        }
    }

    private static let columns: SQL = """
        s.id as session_id, s.user_id, s.created_at as session_created_at, s.last_seen_at, s.expires_at, s.address,
        s.user_agent
        """

    private static let userColumns: SQL = """
        u.id, u.email, u.name, u.role, u.password_changed_at, u.disabled_at, u.last_login_at, u.version, u.created_at,
        u.updated_at
        """

    private static func decode(_ row: Row) throws -> UserSession {
        UserSession(
            id: try row.decodeRaw("session_id"), user: try row.decodeRaw("user_id"),
            createdAt: try row.decode("session_created_at"), lastSeenAt: try row.decode("last_seen_at"),
            expiresAt: try row.decode("expires_at"), address: try row.decode("address"),
            userAgent: try row.decode("user_agent"))
    }
}
