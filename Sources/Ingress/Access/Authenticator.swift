import Crypto
import Domain
import Foundation
import HTTPTypes
import Messaging
import Persistence
import Synchronization

/// Finds out who sent a request, by an API key or a session's cookie, and whether they may do what they ask for.
///
/// A key that was found is believed for 30 s without asking again, so a revocation takes that long to reach every
/// ingress; its expiry is looked at each time. Unknown keys are not remembered: whoever guesses pays with a query, and
/// the pool bounds how many run. Sessions are looked up each time, so a log-out, a new password and a disabled user count at
/// once, everywhere.
final class Authenticator: Sendable {
    /// How long a found key is believed, in seconds.
    static let memory: TimeInterval = 30
    /// More entries than this are not kept; there are far fewer keys.
    static let maxRemembered = 4_096

    private struct Entry {
        let key: ApiKey
        let staleAt: Date
    }

    private let find: @Sendable (_ digest: [UInt8]) async throws -> ApiKey?
    private let accounts: any AccountStore
    private let cookie: SessionCookie
    private let now: @Sendable () -> Date
    private let remembered = Mutex<[[UInt8]: Entry]>([:])

    init(
        find: @escaping @Sendable (_ digest: [UInt8]) async throws -> ApiKey?, accounts: any AccountStore,
        cookie: SessionCookie, now: @escaping @Sendable () -> Date
    ) {
        self.find = find
        self.accounts = accounts
        self.cookie = cookie
        self.now = now
    }

    /// A refused permission is recorded before it is answered; if it cannot be, the request fails.
    ///
    /// - Throws: `ProblemResponse` (401 or 403), or whatever the look-up throws.
    func authenticate(_ request: IngressRequest, for permission: Permission) async throws -> Principal {
        let principal = try await principal(of: request)
        guard AccessMatrix.permissions(of: principal.role).contains(permission) else {
            try await record(.refusePermission, by: principal, request, ["permission": permission.rawValue])
            throw ProblemResponse(
                .forbidden, "The role \(principal.role.rawValue) lacks the right \(permission.rawValue).")
        }
        return principal
    }

    private func principal(of request: IngressRequest) async throws -> Principal {
        // Whoever sends a key means it, whatever cookie the client adds.
        if let header = request.headers[.authorization] { return try await principal(withKey: header) }
        guard let token = cookie.token(in: request.headers) else {
            throw Self.unauthenticated("There is no Authorization header and no session's cookie.", error: nil)
        }
        guard let (session, user) = try await accounts.session(token.digest, at: request.receivedAt) else {
            throw Self.unauthenticated("The session has ended. Log in again.", error: nil)
        }
        let principal = Principal(
            id: user.id.rawValue, name: user.name, role: user.role,
            session: Principal.Session(user: user, session: session, csrfToken: Self.csrfToken(of: token)))
        if !CrossSite.isSafe(request.method), let csrfToken = principal.session?.csrfToken,
            let fault = CrossSite.fault(request, token: csrfToken)
        {
            try await record(.refuseCrossSite, by: principal, request, [:])
            throw ProblemResponse(.crossSiteRequest, fault)
        }
        return principal
    }

    private func record(
        _ act: AccessEvent.Act, by principal: Principal, _ request: IngressRequest, _ details: [String: String]
    ) async throws {
        var details = details
        details["request"] = "\(request.method.rawValue) \(String(request.path).cappedUTF8(to: 200))"
        details["role"] = principal.role.rawValue
        try await accounts.record(
            AccessEvent(act, by: principal.accessActor(request), details: details), at: request.receivedAt)
    }

    // MARK: API keys

    private func principal(withKey header: String) async throws -> Principal {
        guard let token = Self.token(in: header) else {
            throw Self.unauthenticated("The Authorization header is not `Bearer neff_...`.", error: "invalid_request")
        }
        guard let key = try await key(for: token) else {
            throw Self.unauthenticated("The API key is not known.", error: "invalid_token")
        }
        if key.revokedAt != nil { throw Self.unauthenticated("The API key has been revoked.", error: "invalid_token") }
        if let expiry = key.expiresAt, expiry <= now() {
            throw Self.unauthenticated("The API key has expired.", error: "invalid_token")
        }
        return Principal(id: key.id.rawValue, name: key.name, role: key.role)
    }

    /// The secret in `Bearer neff_...`; the scheme's case does not matter (RFC 9110 section 11.1).
    static func token(in header: String) -> Substring? {
        let parts = header.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        let token = parts[1].drop { $0 == " " }
        guard token.hasPrefix(ApiKeySecret.scheme), (16...128).contains(token.utf8.count),
            token.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { return nil }
        return token
    }

    private func key(for token: Substring) async throws -> ApiKey? {
        let digest = Array(SHA256.hash(data: Array(token.utf8)))
        let instant = now()
        // Comparing digests in variable time gives nothing away: nobody can choose a digest's prefix.
        if let entry = remembered.withLock({ $0[digest] }), entry.staleAt > instant { return entry.key }
        let key = try await find(digest)
        remembered.withLock { remembered in
            guard let key, key.revokedAt == nil else {
                remembered[digest] = nil
                return
            }
            if remembered.count >= Self.maxRemembered { remembered.removeAll(keepingCapacity: true) }
            remembered[digest] = Entry(key: key, staleAt: instant.addingTimeInterval(Self.memory))
        }
        return key
    }

    /// What requests with a session's cookie must carry; whoever has the cookie's value can compute it, and no other site can.
    static func csrfToken(of token: SecretToken) -> String { token.derived(for: "neff csrf") }

    static func unauthenticated(_ detail: String, error: String?) -> ProblemResponse {
        let parameters = error.map { ", error=\"\($0)\"" } ?? ""
        return ProblemResponse(
            .unauthenticated, detail, headers: [.wwwAuthenticate: "Bearer realm=\"neff\"\(parameters)"])
    }
}
