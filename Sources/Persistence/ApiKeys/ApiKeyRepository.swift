import Domain
package import Foundation
package import Postgres

/// The table of API keys.
package struct ApiKeyRepository: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// Makes a key, and records who did.
    ///
    /// - Parameter expiresAt: nil never expires.
    /// - Returns: the key, and its secret, which cannot be had again.
    /// - Throws: `PostgresError`.
    package func create(
        name: String, role: AccessRole, expiresAt: Date? = nil, by actor: AccessActor, at now: Date = Date()
    ) async throws -> (key: ApiKey, secret: ApiKeySecret) {
        var generator = SystemRandomNumberGenerator()
        let secret = ApiKeySecret.make(using: &generator)
        let key = ApiKey(
            id: ApiKeyID.make(at: now), name: name, role: role, prefix: secret.prefix, createdAt: now,
            expiresAt: expiresAt)
        try await pool.withTransaction { transaction in
            _ = try await transaction.query(
                """
                insert into api_keys (id, name, role, prefix, secret_sha256, created_at, expires_at)
                values (\(key.id.rawValue), \(name), \(role.rawValue), \(key.prefix), \(secret.digest), \(now),
                    \(expiresAt))
                """)
            try await AccessLog.append(
                AccessEvent(.createKey, by: actor, subject: key.id.rawValue, details: ["role": role.rawValue]),
                at: now, in: transaction)
        }
        return (key, secret)
    }

    /// Every key there ever was, newest first.
    ///
    /// - Throws: `PostgresError`.
    package func list() async throws -> [ApiKey] {
        try await pool.query("select \(Self.columns) from api_keys order by created_at desc, id desc").map(Self.decode)
    }

    /// Keys, the youngest first.
    ///
    /// - Throws: `PostgresError`.
    package func page(before id: ApiKeyID?, limit: Int) async throws -> [ApiKey] {
        var query: SQL = "select \(Self.columns) from api_keys"
        if let id { query += " where id < \(id.rawValue)" }
        query += " order by id desc limit \(limit)"
        return try await pool.query(query).map(Self.decode)
    }

    /// Makes a key worthless, within the 30 s for which an ingress may still believe it, and records who did.
    ///
    /// - Returns: the key; one that was revoked before keeps its time. Nil if there is none.
    /// - Throws: `PostgresError`.
    package func revoke(_ id: ApiKeyID, by actor: AccessActor, at now: Date = Date()) async throws -> ApiKey? {
        try await pool.withTransaction { transaction in
            let revoked = try await transaction.query(
                """
                update api_keys set revoked_at = \(now) where id = \(id.rawValue) and revoked_at is null
                returning \(Self.columns)
                """
            ).first.map(Self.decode)
            guard let revoked else {
                return try await transaction.query("select \(Self.columns) from api_keys where id = \(id.rawValue)")
                    .first.map(Self.decode)
            }
            try await AccessLog.append(
                AccessEvent(.revokeKey, by: actor, subject: id.rawValue), at: now, in: transaction)
            return revoked
        }
    }

    /// Finds the key with this digest and notes that it is in use, at most once a minute.
    ///
    /// - Parameter digest: of the whole secret; see `ApiKeySecret.digest`.
    /// - Returns: the key even if it is revoked or has expired, so that the caller can say so.
    /// - Throws: `PostgresError`.
    package func find(digest: [UInt8], at now: Date = Date()) async throws -> ApiKey? {
        try await pool.query(
            """
            with used as (
                update api_keys set last_used_at = \(now)
                where secret_sha256 = \(digest) and revoked_at is null and (expires_at is null or expires_at > \(now))
                    and (last_used_at is null or last_used_at < \(now.addingTimeInterval(-60)))
                returning id
            )
            select \(Self.columns) from api_keys where secret_sha256 = \(digest)
            """
        ).first.map(Self.decode)
    }

    private static let columns: SQL = "id, name, role, prefix, created_at, expires_at, revoked_at, last_used_at"

    private static func decode(_ row: Row) throws -> ApiKey {
        ApiKey(
            id: try row.decodeRaw("id"), name: try row.decode("name"), role: try row.decodeRaw("role"),
            prefix: try row.decode("prefix"), createdAt: try row.decode("created_at"),
            expiresAt: try row.decode("expires_at"), revokedAt: try row.decode("revoked_at"),
            lastUsedAt: try row.decode("last_used_at"))
    }
}
