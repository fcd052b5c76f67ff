import Domain
import Foundation
import Ingress
import Persistence
import Postgres

/// There has never been a campaign.
struct NoReplayCampaigns: ReplayCampaignStore {
    func plan(_ selection: ReplaySelection, _ rules: ReplayRules) async throws -> ReplayPlan { ReplayPlan() }
    func create(_ order: ReplayCampaigns.Order) async throws -> ReplayCampaigns.Creation { .nothingSelected }
    func find(_ id: ReplayCampaignID) async throws -> ReplayCampaign? { nil }
    func list(before: ReplayCampaignID?, isUnsettled: Bool, limit: Int) async throws -> [ReplayCampaign] { [] }
    func letters(
        of id: ReplayCampaignID, states: Set<ReplayLetter.State>, after: DeadLetterID?, limit: Int
    ) async throws -> [ReplayLetter] { [] }
    func perform(
        _ act: ReplayAct, on id: ReplayCampaignID, by actor: String, reason: String?
    ) async throws -> ReplayCampaigns.ActResult { .unknown }
}

/// A database that is away.
struct NoConfiguration: ConfigurationStore {
    nonisolated(nonsending) func write<Result: Sendable>(
        isKept: Bool, _ body: nonisolated(nonsending) (Transaction) async throws -> Result
    ) async throws -> Result { throw PostgresError(.connectionFailed, "away") }

    nonisolated(nonsending) func read<Result: Sendable>(
        _ body: nonisolated(nonsending) (Transaction) async throws -> Result
    ) async throws -> Result { throw PostgresError(.connectionFailed, "away") }
}

/// There are no users, and what is recorded is forgotten.
struct NoAccounts: AccountStore {
    func session(_ digest: [UInt8], at now: Date) async throws -> (session: UserSession, user: User)? { nil }
    func record(_ event: AccessEvent, at now: Date) async throws {}
    func accessLog(_ filter: AccessLog.Filter, before id: Int?, limit: Int) async throws -> [AccessLogEntry] { [] }
    func admit(_ subjects: [LogInThrottle.Subject], at now: Date) async throws -> LogInThrottle.Admission { .admitted }
    func refund(_ subjects: [LogInThrottle.Subject]) async throws {}
    func credentials(email: String) async throws -> UserRepository.Credentials? { nil }
    func credentials(_ id: UserID) async throws -> UserRepository.Credentials? { nil }
    func beginSession(
        of user: User, token: SecretToken, verified: PasswordHash, rehashed: PasswordHash?, userAgent: String?,
        by actor: AccessActor, at now: Date
    ) async throws -> UserSession? { nil }
    func sessions(of user: UserID, at now: Date) async throws -> [UserSession] { [] }
    func endSession(
        _ id: UserSessionID, of user: UserID, _ act: AccessEvent.Act, by actor: AccessActor, at now: Date
    ) async throws -> Bool { false }
    func users(after id: UserID?, limit: Int) async throws -> [User] { [] }
    func user(_ id: UserID) async throws -> User? { nil }
    func createUser(_ new: NewUser, by actor: AccessActor, at now: Date) async throws -> User? { nil }
    func changeUser(
        _ id: UserID, _ change: UserChange, version: Int?, by actor: AccessActor, at now: Date
    ) async throws -> UserRepository.ChangeResult { .missing }
    func setPassword(
        of id: UserID, to password: PasswordHash, replacing replaced: PasswordHash?, keeping session: UserSessionID?,
        by actor: AccessActor, at now: Date
    ) async throws -> User? { nil }
    func standing(of token: SecretToken, at now: Date) async throws -> Bootstrap.Standing { .worthless }
    func makeAdministrator(
        _ new: NewUser, with token: SecretToken, by actor: AccessActor, at now: Date
    ) async throws -> Bootstrap.Result { .refused(.worthless) }
    func keys(before id: ApiKeyID?, limit: Int) async throws -> [ApiKey] { [] }
    func createKey(
        name: String, role: AccessRole, expiresAt: Date?, by actor: AccessActor, at now: Date
    ) async throws -> (key: ApiKey, secret: ApiKeySecret) {
        var generator = SystemRandomNumberGenerator()
        let key = ApiKey(id: .make(at: now), name: name, role: role, prefix: "neff_", createdAt: now)
        return (key, ApiKeySecret.make(using: &generator))
    }
    func revokeKey(_ id: ApiKeyID, by actor: AccessActor, at now: Date) async throws -> ApiKey? { nil }
}
