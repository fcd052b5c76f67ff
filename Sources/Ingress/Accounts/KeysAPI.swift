import Domain
import HTTPTypes
import Messaging
import Persistence

/// API keys, and the record of access.
struct KeysAPI: Sendable {
    let accounts: any AccountStore

    func list(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        var query = QueryParameters(request.query, names: ["cursor", "limit"])
        let limit = query.limit(1...200, default: 50)
        let cursor = query.identifier("cursor", as: ApiKeyID.self)
        try query.finish()
        let page = try await accounts.keys(before: cursor, limit: limit)
        return .json(
            try WireJSON.encode(AccountPage(page, limit: limit, cursor: \.id.rawValue) { ApiKeyDocument($0) }))
    }

    /// The secret is in this answer and nowhere else, so the request takes no idempotency key: whoever did not get the answer
    /// revokes that key and makes another.
    func create(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        try StaffAPI.requireJSON(request)
        let input = try AccountInput.newKey(request.body, at: request.receivedAt)
        let (key, secret) = try await accounts.createKey(
            name: input.name, role: input.role, expiresAt: input.expiresAt, by: principal.accessActor(request),
            at: request.receivedAt)
        return .json(try WireJSON.encode(ApiKeyDocument(key, secret: secret)), status: .created)
    }

    /// Doing it twice changes nothing.
    func revoke(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        guard let id = ApiKeyID(rawValue: request.pathParameter),
            let key = try await accounts.revokeKey(id, by: principal.accessActor(request), at: request.receivedAt)
        else { throw ProblemResponse(Problem.notFound("API key")) }
        return .json(try WireJSON.encode(ApiKeyDocument(key)))
    }

    func accessLog(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        var query = QueryParameters(request.query, names: ["act", "actor_id", "cursor", "limit", "subject"])
        let limit = query.limit(1...200, default: 50)
        let acts = query.words("act", as: AccessEvent.Act.self)
        let cursor = query.number("cursor")
        let filter = AccessLog.Filter(acts: acts, actorID: query.text("actor_id"), subject: query.text("subject"))
        try query.finish()
        let entries = try await accounts.accessLog(filter, before: cursor, limit: limit)
        return .json(
            try WireJSON.encode(
                AccountPage(entries, limit: limit, cursor: { String($0.id) }, item: AccessLogEntryDocument.init)))
    }
}
