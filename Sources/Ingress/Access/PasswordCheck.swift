import Domain
import Foundation
import HTTPTypes
import Persistence

/// Checks passwords and makes their hashes, within the bounds of throttle and workers.
struct PasswordCheck: Sendable {
    let accounts: any AccountStore
    let workers: PasswordWorkers
    /// What new hashes are made with.
    let parameters: PasswordHash.Parameters
    let metrics: IngressMetrics

    /// A password that is right.
    struct Match: Sendable {
        var user: User
        /// What it was checked against.
        var verified: PasswordHash
        /// Its hash under today's parameters, if the stored one is weaker.
        var rehashed: PasswordHash?
    }

    /// Whether the password is the one of the account; nil if it is not, whatever the reason.
    ///
    /// An account that does not exist costs what a wrong password costs. The attempt stays counted unless the caller takes it
    /// back with `refund`; only what failed for a reason of ours is taken back here.
    /// - Throws: `ProblemResponse`: 429 if the account or the address has to wait, 503 if too many passwords are being checked.
    func match(
        _ password: String, email: String, _ request: IngressRequest
    ) async throws -> (match: Match?, found: User?) {
        let subjects = Self.subjects(email: email, request)
        if case .blocked(let until) = try await accounts.admit(subjects, at: request.receivedAt) {
            metrics.logIn(.throttled)
            let seconds = max(1, Int(until.timeIntervalSince(request.receivedAt).rounded(.up)))
            throw ProblemResponse(
                .rateLimited, "Too many attempts have failed. Try again in \(seconds) s.",
                headers: [.retryAfter: "\(seconds)"])
        }
        do {
            let found = try await accounts.credentials(email: email)
            let stored = found?.password ?? .ofNothing(parameters: parameters)
            let (isRight, rehashed) = try await workers.run { [parameters] in
                let isRight = try stored.matches(password)
                let isWeak = isRight && stored.isWeaker(than: parameters)
                return (isRight, isWeak ? try PasswordHash(of: password, parameters: parameters) : nil)
            }
            guard let found, isRight else { return (nil, found?.user) }
            return (Match(user: found.user, verified: stored, rehashed: rehashed), found.user)
        } catch {
            // Our trouble is not the caller's failure; if the database is away, the count is the smaller one.
            try? await accounts.refund(subjects)
            throw error
        }
    }

    /// Takes an attempt back that was none: of the address, because success forgives the account as a whole.
    func refundAddress(_ request: IngressRequest) async throws {
        guard let subject = Self.address(request) else { return }
        try await accounts.refund([subject])
    }

    func hash(_ password: String) async throws -> PasswordHash {
        try await workers.run { [parameters] in try PasswordHash(of: password, parameters: parameters) }
    }

    private static func subjects(email: String, _ request: IngressRequest) -> [LogInThrottle.Subject] {
        [.account(email: email)] + [address(request)].compactMap(\.self)
    }

    private static func address(_ request: IngressRequest) -> LogInThrottle.Subject? {
        request.address.map { .address(ClientAddress.network(of: $0)) }
    }
}
