import Crypto
import Domain
import Foundation
import HTTPTypes
import Persistence
import Synchronization

/// Finds out whose API key a request carries.
///
/// A key that was found is believed for 30 s without asking again, so a revocation takes that long to reach every
/// ingress; its expiry is looked at each time. Unknown keys are not remembered: whoever guesses pays with a query, and
/// the pool bounds how many run.
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
    private let now: @Sendable () -> Date
    private let remembered = Mutex<[[UInt8]: Entry]>([:])

    init(
        find: @escaping @Sendable (_ digest: [UInt8]) async throws -> ApiKey?, now: @escaping @Sendable () -> Date
    ) {
        self.find = find
        self.now = now
    }

    /// - Throws: `ProblemResponse` (401 or 403), or whatever the look-up throws.
    func authenticate(_ headers: HTTPFields, for permission: Permission) async throws -> Principal {
        guard let header = headers[.authorization] else {
            throw Self.unauthenticated("There is no Authorization header.", error: nil)
        }
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
        guard key.role.permissions.contains(permission) else {
            throw ProblemResponse(.forbidden, "The role \(key.role.rawValue) lacks the right \(permission.rawValue).")
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

    private static func unauthenticated(_ detail: String, error: String?) -> ProblemResponse {
        let parameters = error.map { ", error=\"\($0)\"" } ?? ""
        return ProblemResponse(
            .unauthenticated, detail, headers: [.wwwAuthenticate: "Bearer realm=\"neff\"\(parameters)"])
    }
}
