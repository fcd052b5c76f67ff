import Domain
package import Foundation
package import Postgres

/// How the first administrator comes to be: an operator at a terminal makes a token, and whoever brings it may make one
/// administrator. There are no default credentials.
package enum Bootstrap {
    /// How long a token is good for, in seconds.
    package static let lifetime: TimeInterval = 3_600

    /// Makes a token; earlier ones that nobody has used are worthless from then on.
    ///
    /// - Returns: nil if there is an administrator, disabled or not.
    /// - Throws: `PostgresError`.
    package static func makeToken(
        by actor: AccessActor, at now: Date = Date(), on pool: PostgresPool
    ) async throws -> SecretToken? {
        let token = SecretToken.make()
        return try await pool.withTransaction { transaction in
            guard try await !hasAdministrator(in: transaction) else { return nil }
            _ = try await transaction.query("delete from bootstrap_tokens where used_at is null")
            _ = try await transaction.query(
                """
                insert into bootstrap_tokens (token_sha256, created_at, created_by, expires_at)
                values (\(token.digest), \(now), \(actor.name ?? "unknown"), \(now.addingTimeInterval(lifetime)))
                """)
            try await AccessLog.append(AccessEvent(.makeBootstrapToken, by: actor), at: now, in: transaction)
            return token
        }
    }

    /// Whether somebody with this token could make the first administrator now.
    ///
    /// - Throws: `PostgresError`.
    package static func standing(of token: SecretToken, at now: Date = Date(), on pool: PostgresPool) async throws
        -> Standing
    {
        try await pool.withTransaction(readOnly: true) { transaction in
            try await standing(of: token, at: now, locking: false, in: transaction)
        }
    }

    package enum Standing: Hashable, Sendable {
        case good
        /// Never made, used, replaced by a later one, or too old.
        case worthless
        /// There is an administrator already.
        case tooLate
    }

    /// How an attempt to make the first administrator ended.
    package enum Result: Hashable, Sendable {
        case created(User)
        case refused(Standing)
        /// Somebody who is no administrator has the e-mail address.
        case emailTaken
    }

    /// Uses the token up and makes the first administrator.
    ///
    /// - Parameter new: with the role `admin`.
    /// - Throws: `PostgresError`.
    package static func makeAdministrator(
        _ new: NewUser, with token: SecretToken, by actor: AccessActor, at now: Date = Date(), on pool: PostgresPool
    ) async throws -> Result {
        precondition(new.role == .admin, "the first user is an administrator")
        return try await pool.withTransaction { transaction in
            let standing = try await standing(of: token, at: now, locking: true, in: transaction)
            guard standing == .good else { return .refused(standing) }
            guard let user = try await UserRepository.insert(new, .bootstrap, by: actor, at: now, in: transaction)
            else { return .emailTaken }
            _ = try await transaction.query(
                "update bootstrap_tokens set used_at = \(now) where token_sha256 = \(token.digest)")
            return .created(user)
        }
    }

    private static func standing(
        of token: SecretToken, at now: Date, locking: Bool, in transaction: Transaction
    ) async throws -> Standing {
        let lock: SQL = locking ? " for update" : ""
        let row = try await transaction.query(
            "select used_at, expires_at from bootstrap_tokens where token_sha256 = \(token.digest)" + lock
        ).first
        // Who brings no token is not told whether there is an administrator.
        guard let row, try row.decode("used_at", as: Date?.self) == nil,
            try row.decode("expires_at", as: Date.self) > now
        else { return .worthless }
        return try await hasAdministrator(in: transaction) ? .tooLate : .good
    }

    private static func hasAdministrator(in transaction: Transaction) async throws -> Bool {
        try await !transaction.query("select 1 as found from users where role = 'admin' limit 1").isEmpty
    }
}
