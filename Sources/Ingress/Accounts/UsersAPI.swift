import Domain
import Foundation
import HTTPTypes
import Messaging
import Persistence

/// Users, as administrators see and change them, and the making of the first one.
struct UsersAPI: Sendable {
    let accounts: any AccountStore
    let passwords: PasswordCheck

    func list(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        var query = QueryParameters(request.query, names: ["cursor", "limit"])
        let limit = query.limit(1...200, default: 50)
        let cursor = query.identifier("cursor", as: UserID.self)
        try query.finish()
        let page = try await accounts.users(after: cursor, limit: limit)
        return .json(
            try WireJSON.encode(AccountPage(page, limit: limit, cursor: \.id.rawValue, item: UserDocument.init)))
    }

    func get(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let user = try await find(request)
        if EntityTag.isKnown(user.version, to: request.headers) {
            return IngressResponse(status: .notModified, headers: [.eTag: EntityTag.text(user.version)])
        }
        return try Self.answer(user)
    }

    func create(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        try StaffAPI.requireJSON(request)
        let input = try AccountInput.newUser(request.body)
        let user = try await accounts.createUser(
            NewUser(
                email: input.email, name: input.name, role: input.role,
                password: try await passwords.hash(input.password)),
            by: principal.accessActor(request), at: request.receivedAt)
        guard let user else { throw Self.emailTaken }
        return try Self.answer(user, status: .created)
    }

    func change(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let user = try await find(request)
        try StaffAPI.requireJSON(request)
        let version = try EntityTag.expectedVersion(request.headers)
        let change = try AccountInput.change(request.body)
        let result = try await accounts.changeUser(
            user.id, change, version: version, by: principal.accessActor(request), at: request.receivedAt)
        switch result {
        case .changed(let user): return try Self.answer(user)
        case .missing: throw Self.missing
        case .changedMeanwhile(let user):
            throw ProblemResponse(.versionMismatch, "The user is at version \(user.version). Read it again.")
        case .lastAdministrator:
            throw ProblemResponse(
                .illegalTransition, "This is the last administrator who may log in. Make another one first.")
        }
    }

    /// Ends all of the user's sessions.
    func resetPassword(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let user = try await find(request)
        try StaffAPI.requireJSON(request)
        let password = try AccountInput.resetPassword(request.body, of: user)
        let changed = try await accounts.setPassword(
            of: user.id, to: try await passwords.hash(password), replacing: nil, keeping: nil,
            by: principal.accessActor(request), at: request.receivedAt)
        guard let changed else { throw Self.missing }
        return try Self.answer(changed)
    }

    /// Makes the first administrator for whoever brings the token that `neff users bootstrap` printed.
    ///
    /// The token is looked at before anything is hashed, so that nobody has passwords hashed who has none.
    func bootstrap(_ request: IngressRequest) async throws -> IngressResponse {
        try StaffAPI.requireJSON(request)
        let (token, person) = try AccountInput.bootstrap(request.body)
        guard let token else { throw Self.refusal(.worthless) }
        let standing = try await accounts.standing(of: token, at: request.receivedAt)
        guard standing == .good else { throw Self.refusal(standing) }
        let new = NewUser(
            email: person.email, name: person.name, role: .admin,
            password: try await passwords.hash(person.password))
        switch try await accounts.makeAdministrator(new, with: token, by: .unknown(request), at: request.receivedAt) {
        case .created(let user): return try Self.answer(user, status: .created)
        case .refused(let standing): throw Self.refusal(standing)
        case .emailTaken: throw Self.emailTaken
        }
    }

    private static func refusal(_ standing: Bootstrap.Standing) -> ProblemResponse {
        switch standing {
        case .good, .worthless:
            Authenticator.unauthenticated(
                "The token is not known, was used, or is older than an hour. `neff users bootstrap` makes another.",
                error: nil)
        case .tooLate:
            ProblemResponse(.illegalTransition, "There is an administrator already, who can make others.")
        }
    }

    private func find(_ request: IngressRequest) async throws -> User {
        guard let id = UserID(rawValue: request.pathParameter), let user = try await accounts.user(id) else {
            throw Self.missing
        }
        return user
    }

    private static let missing = ProblemResponse(Problem.notFound("user"))

    private static let emailTaken = ProblemResponse(
        Problem.validation([
            Problem.FieldError(pointer: "/email", code: "taken", detail: "is another user's address")
        ]))

    private static func answer(_ user: User, status: HTTPResponse.Status = .ok) throws -> IngressResponse {
        var headers: HTTPFields = [.eTag: EntityTag.text(user.version)]
        if status == .created { headers[.location] = "/v1/users/\(user.id)" }
        return .json(try WireJSON.encode(UserDocument(user)), status: status, headers: headers)
    }
}
