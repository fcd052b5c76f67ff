import Persistence

/// Who sent a request.
struct Principal: Hashable, Sendable {
    /// What a request with a session's cookie came from.
    struct Session: Hashable, Sendable {
        var user: User
        var session: UserSession
        /// What requests of this session that change something must carry.
        var csrfToken: String
    }

    /// The API key's or the user's id.
    var id: String
    /// The API key's or the user's name, for the change log.
    var name: String
    var role: AccessRole
    /// Nil for an API key.
    var session: Session?

    /// The name in the operator log and the access log. Keys and users have prefixes, so that none passes for another, or for
    /// a person at a terminal.
    var actor: String { (session == nil ? "key:" : "user:") + name }

    func accessActor(_ request: IngressRequest) -> AccessActor {
        AccessActor(name: actor, id: id, address: request.address, requestID: request.requestID)
    }
}

extension AccessActor {
    /// Somebody who has not shown who they are.
    static func unknown(_ request: IngressRequest) -> AccessActor {
        AccessActor(name: nil, address: request.address, requestID: request.requestID)
    }
}
