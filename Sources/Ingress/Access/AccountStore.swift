package import Foundation
package import Persistence

/// Users, their sessions, API keys, and the record of access.
package protocol AccountStore: Sendable {
    /// The session with a token of this digest, if it goes on; notes its use.
    func session(_ digest: [UInt8], at now: Date) async throws -> (session: UserSession, user: User)?
    /// Adds to the record what changes nothing else.
    func record(_ event: AccessEvent, at now: Date) async throws
    /// The record, the youngest entry first.
    func accessLog(_ filter: AccessLog.Filter, before id: Int?, limit: Int) async throws -> [AccessLogEntry]

    // MARK: Logging in

    /// Counts an attempt to show who one is, unless somebody has to wait.
    func admit(_ subjects: [LogInThrottle.Subject], at now: Date) async throws -> LogInThrottle.Admission
    /// Takes back what an attempt was counted for.
    func refund(_ subjects: [LogInThrottle.Subject]) async throws
    func credentials(email: String) async throws -> UserRepository.Credentials?
    func credentials(_ id: UserID) async throws -> UserRepository.Credentials?
    /// Nil if the user may not log in any more, or the password has changed since it was checked.
    func beginSession(
        of user: User, token: SecretToken, verified: PasswordHash, rehashed: PasswordHash?, userAgent: String?,
        by actor: AccessActor, at now: Date
    ) async throws -> UserSession?
    func sessions(of user: UserID, at now: Date) async throws -> [UserSession]
    /// False if the user has no such session.
    func endSession(
        _ id: UserSessionID, of user: UserID, _ act: AccessEvent.Act, by actor: AccessActor, at now: Date
    ) async throws -> Bool

    // MARK: Users

    /// In the order of their making.
    func users(after id: UserID?, limit: Int) async throws -> [User]
    func user(_ id: UserID) async throws -> User?
    /// Nil if the e-mail address is taken.
    func createUser(_ new: NewUser, by actor: AccessActor, at now: Date) async throws -> User?
    func changeUser(
        _ id: UserID, _ change: UserChange, version: Int?, by actor: AccessActor, at now: Date
    ) async throws -> UserRepository.ChangeResult
    /// Nil if there is no such user, or the password is not `replaced` any more.
    func setPassword(
        of id: UserID, to password: PasswordHash, replacing replaced: PasswordHash?, keeping session: UserSessionID?,
        by actor: AccessActor, at now: Date
    ) async throws -> User?
    func standing(of token: SecretToken, at now: Date) async throws -> Bootstrap.Standing
    func makeAdministrator(
        _ new: NewUser, with token: SecretToken, by actor: AccessActor, at now: Date
    ) async throws -> Bootstrap.Result

    // MARK: API keys

    /// The youngest first.
    func keys(before id: ApiKeyID?, limit: Int) async throws -> [ApiKey]
    func createKey(
        name: String, role: AccessRole, expiresAt: Date?, by actor: AccessActor, at now: Date
    ) async throws -> (key: ApiKey, secret: ApiKeySecret)
    /// Nil if there is no such key.
    func revokeKey(_ id: ApiKeyID, by actor: AccessActor, at now: Date) async throws -> ApiKey?
}
