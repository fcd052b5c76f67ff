import Domain
import Foundation
import HTTPTypes
import Messaging
import Persistence

/// Logging in and out, and what callers may know and change of themselves.
struct SessionsAPI: Sendable {
    let accounts: any AccountStore
    let passwords: PasswordCheck
    let cookie: SessionCookie
    let metrics: IngressMetrics

    /// The same answer, in about the same time, whether the account does not exist, is disabled, or has another password.
    func logIn(_ request: IngressRequest) async throws -> IngressResponse {
        // Else another site could log a browser in as somebody else, who then sees what is done in it.
        if let fault = CrossSite.fault(request) { throw ProblemResponse(.crossSiteRequest, fault) }
        try StaffAPI.requireJSON(request)
        let input = try AccountInput.logIn(request.body)
        let (match, found) = try await passwords.match(input.password, email: input.email, request)
        guard let match, !match.user.isDisabled else {
            throw try await refusal(match == nil ? found == nil ? "unknown" : "password" : "disabled", found, request)
        }
        let token = SecretToken.make()
        let actor = AccessActor(
            name: "user:" + match.user.name, id: match.user.id.rawValue, address: request.address,
            requestID: request.requestID)
        let session = try await accounts.beginSession(
            of: match.user, token: token, verified: match.verified, rehashed: match.rehashed,
            userAgent: Self.userAgent(request), by: actor, at: request.receivedAt)
        guard let session else { throw try await refusal("changed", found, request) }
        try await passwords.refundAddress(request)
        metrics.logIn(.begun)
        let principal = Principal(
            id: match.user.id.rawValue, name: match.user.name, role: match.user.role,
            session: Principal.Session(
                user: match.user, session: session, csrfToken: Authenticator.csrfToken(of: token)))
        let lifetime = session.expiresAt.timeIntervalSince(session.createdAt)
        return .json(
            try WireJSON.encode(MeDocument(principal)), status: .created,
            headers: [.setCookie: cookie.giving(token, lifetime: lifetime), .location: "/v1/me"])
    }

    /// - Parameter reason: for the record; the caller is not told.
    private func refusal(_ reason: String, _ user: User?, _ request: IngressRequest) async throws -> ProblemResponse {
        // What was typed as e-mail address may be a password, so only addresses of ours leave a trace.
        try await accounts.record(
            AccessEvent(
                .refuseSession, by: .unknown(request), subject: user?.id.rawValue, details: ["reason": reason]),
            at: request.receivedAt)
        metrics.logIn(.refused)
        return Authenticator.unauthenticated("The e-mail address or the password is wrong.", error: nil)
    }

    func logOut(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let session = try Self.session(principal)
        // Gone already if two tabs log out at once, which is what both wanted.
        _ = try await accounts.endSession(
            session.session.id, of: session.user.id, .endSession, by: principal.accessActor(request),
            at: request.receivedAt)
        return IngressResponse(status: .noContent, headers: [.setCookie: cookie.taking])
    }

    func list(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let session = try Self.session(principal)
        let sessions = try await accounts.sessions(of: session.user.id, at: request.receivedAt)
        return .json(
            try WireJSON.encode(
                AccountPage(sessions, limit: nil, cursor: \.id.rawValue) {
                    SessionDocument($0, current: session.session.id)
                }))
    }

    func revoke(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let session = try Self.session(principal)
        guard let id = UserSessionID(rawValue: request.pathParameter) else { throw Self.missing }
        let isEnded = try await accounts.endSession(
            id, of: session.user.id, .revokeSession, by: principal.accessActor(request), at: request.receivedAt)
        guard isEnded else { throw Self.missing }
        return IngressResponse(status: .noContent)
    }

    func me(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        .json(try WireJSON.encode(MeDocument(principal)))
    }

    /// Ends the user's other sessions. A wrong present password counts as a failed log-in.
    func changePassword(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let session = try Self.session(principal)
        try StaffAPI.requireJSON(request)
        let input = try AccountInput.changePassword(request.body, of: session.user)
        let (match, _) = try await passwords.match(input.current, email: session.user.email, request)
        guard let match else {
            try await accounts.record(
                AccessEvent(
                    .refuseSession, by: principal.accessActor(request), subject: principal.id,
                    details: ["reason": "current password"]), at: request.receivedAt)
            throw ProblemResponse(
                Problem.validation([
                    Problem.FieldError(
                        pointer: "/current_password", code: "wrong", detail: "is not the present password")
                ]))
        }
        let hash = try await passwords.hash(input.new)
        let user = try await accounts.setPassword(
            of: session.user.id, to: hash, replacing: match.verified, keeping: session.session.id,
            by: principal.accessActor(request), at: request.receivedAt)
        guard user != nil else {
            throw ProblemResponse(.versionMismatch, "The password has been changed elsewhere meanwhile.")
        }
        try await passwords.refundAddress(request)
        return IngressResponse(status: .noContent)
    }

    /// - Throws: `ProblemResponse` 404 for an API key, which has none.
    private static func session(_ principal: Principal) throws(ProblemResponse) -> Principal.Session {
        guard let session = principal.session else {
            throw ProblemResponse(.notFound, "An API key has no session and no password.")
        }
        return session
    }

    private static let missing = ProblemResponse(Problem.notFound("session"))

    /// What the browser calls itself; for the list of sessions.
    private static func userAgent(_ request: IngressRequest) -> String? {
        request.headers[.userAgent].map { text in
            String(text.unicodeScalars.filter { $0.properties.generalCategory != .control }.map(Character.init))
                .cappedUTF8(to: 300)
        }
    }
}
