package import Foundation
package import Persistence
package import Postgres

/// Users, sessions and keys as they are in the database.
package struct StoredAccounts: AccountStore {
    private let pool: PostgresPool
    private let userTable: UserRepository
    private let sessionTable: UserSessionRepository
    private let keyTable: ApiKeyRepository

    package init(pool: PostgresPool, sessionLimits: UserSession.Limits = UserSession.Limits()) {
        self.pool = pool
        userTable = UserRepository(pool: pool)
        sessionTable = UserSessionRepository(pool: pool, limits: sessionLimits)
        keyTable = ApiKeyRepository(pool: pool)
    }

    package func session(_ digest: [UInt8], at now: Date) async throws -> (session: UserSession, user: User)? {
        try await sessionTable.find(digest: digest, at: now)
    }

    package func record(_ event: AccessEvent, at now: Date) async throws {
        try await AccessLog.append(event, at: now, on: pool)
    }

    package func accessLog(
        _ filter: AccessLog.Filter, before id: Int?, limit: Int
    ) async throws -> [AccessLogEntry] {
        try await AccessLog.list(filter, before: id, limit: limit, on: pool)
    }

    package func admit(
        _ subjects: [LogInThrottle.Subject], at now: Date
    ) async throws -> LogInThrottle.Admission {
        try await LogInThrottle.admit(subjects, at: now, on: pool)
    }

    package func refund(_ subjects: [LogInThrottle.Subject]) async throws {
        try await LogInThrottle.refund(subjects, on: pool)
    }

    package func credentials(email: String) async throws -> UserRepository.Credentials? {
        try await userTable.credentials(email: email)
    }

    package func credentials(_ id: UserID) async throws -> UserRepository.Credentials? {
        try await userTable.credentials(id)
    }

    package func beginSession(
        of user: User, token: SecretToken, verified: PasswordHash, rehashed: PasswordHash?, userAgent: String?,
        by actor: AccessActor, at now: Date
    ) async throws -> UserSession? {
        try await sessionTable.begin(
            of: user, token: token, verified: verified, rehashed: rehashed, userAgent: userAgent, by: actor, at: now)
    }

    package func sessions(of user: UserID, at now: Date) async throws -> [UserSession] {
        try await sessionTable.list(of: user, at: now)
    }

    package func endSession(
        _ id: UserSessionID, of user: UserID, _ act: AccessEvent.Act, by actor: AccessActor, at now: Date
    ) async throws -> Bool {
        try await sessionTable.end(id, of: user, act, by: actor, at: now)
    }

    package func users(after id: UserID?, limit: Int) async throws -> [User] {
        try await userTable.page(after: id, limit: limit)
    }

    package func user(_ id: UserID) async throws -> User? {
        try await userTable.find(id)
    }

    package func createUser(_ new: NewUser, by actor: AccessActor, at now: Date) async throws -> User? {
        try await userTable.create(new, by: actor, at: now)
    }

    package func changeUser(
        _ id: UserID, _ change: UserChange, version: Int?, by actor: AccessActor, at now: Date
    ) async throws -> UserRepository.ChangeResult {
        try await userTable.change(id, change, version: version, by: actor, at: now)
    }

    package func setPassword(
        of id: UserID, to password: PasswordHash, replacing replaced: PasswordHash?, keeping session: UserSessionID?,
        by actor: AccessActor, at now: Date
    ) async throws -> User? {
        try await userTable.setPassword(
            of: id, to: password, replacing: replaced, keeping: session, by: actor, at: now)
    }

    package func standing(of token: SecretToken, at now: Date) async throws -> Bootstrap.Standing {
        try await Bootstrap.standing(of: token, at: now, on: pool)
    }

    package func makeAdministrator(
        _ new: NewUser, with token: SecretToken, by actor: AccessActor, at now: Date
    ) async throws -> Bootstrap.Result {
        try await Bootstrap.makeAdministrator(new, with: token, by: actor, at: now, on: pool)
    }

    package func keys(before id: ApiKeyID?, limit: Int) async throws -> [ApiKey] {
        try await keyTable.page(before: id, limit: limit)
    }

    package func createKey(
        name: String, role: AccessRole, expiresAt: Date?, by actor: AccessActor, at now: Date
    ) async throws -> (key: ApiKey, secret: ApiKeySecret) {
        try await keyTable.create(name: name, role: role, expiresAt: expiresAt, by: actor, at: now)
    }

    package func revokeKey(_ id: ApiKeyID, by actor: AccessActor, at now: Date) async throws -> ApiKey? {
        try await keyTable.revoke(id, by: actor, at: now)
    }
}
