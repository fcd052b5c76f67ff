import Domain
import Foundation
import Persistence

/// A user as the API shows one.
struct UserDocument: Encodable {
    let id: UserID
    let email: String
    let name: String
    let role: AccessRole
    let disabled: Bool
    let version: Int
    let lastLoginAt: Date?
    let passwordChangedAt: Date
    let createdAt: Date
    let updatedAt: Date

    init(_ user: User) {
        id = user.id
        email = user.email
        name = user.name
        role = user.role
        disabled = user.isDisabled
        version = user.version
        lastLoginAt = user.lastLoginAt
        passwordChangedAt = user.passwordChangedAt
        createdAt = user.createdAt
        updatedAt = user.updatedAt
    }
}

/// A session as its user sees it.
struct SessionDocument: Encodable {
    let id: UserSessionID
    let createdAt: Date
    let lastSeenAt: Date
    let expiresAt: Date
    let address: String?
    let userAgent: String?
    /// Whether it is the one that asks.
    let current: Bool

    init(_ session: UserSession, current: UserSessionID?) {
        id = session.id
        createdAt = session.createdAt
        lastSeenAt = session.lastSeenAt
        expiresAt = session.expiresAt
        address = session.address
        userAgent = session.userAgent
        self.current = session.id == current
    }
}

/// Who asks, and what they may do.
struct MeDocument: Encodable {
    enum Kind: String, Encodable {
        case user
        case apiKey = "api_key"
    }

    let kind: Kind
    let id: String
    let name: String
    let role: AccessRole
    let permissions: [String]
    let email: String?
    let session: SessionDocument?
    let csrfToken: String?

    init(_ principal: Principal) {
        kind = principal.session == nil ? .apiKey : .user
        id = principal.id
        name = principal.name
        role = principal.role
        permissions = AccessMatrix.permissions(of: principal.role).map(\.rawValue).sorted()
        email = principal.session?.user.email
        session = principal.session.map { SessionDocument($0.session, current: $0.session.id) }
        csrfToken = principal.session?.csrfToken
    }
}

/// An API key, with its secret only in the answer to its making.
struct ApiKeyDocument: Encodable {
    let id: ApiKeyID
    let prefix: String
    let name: String
    let role: AccessRole
    let createdAt: Date
    let expiresAt: Date?
    let revokedAt: Date?
    let lastUsedAt: Date?
    let secret: String?

    init(_ key: ApiKey, secret: ApiKeySecret? = nil) {
        id = key.id
        prefix = key.prefix
        name = key.name
        role = key.role
        createdAt = key.createdAt
        expiresAt = key.expiresAt
        revokedAt = key.revokedAt
        lastUsedAt = key.lastUsedAt
        self.secret = secret?.text
    }
}

/// An entry of the record of access.
struct AccessLogEntryDocument: Encodable {
    let id: Int
    let at: Date
    let act: AccessEvent.Act
    let actor: String?
    let actorId: String?
    let subject: String?
    let details: [String: String]
    let address: String?
    let requestId: String?

    init(_ entry: AccessLogEntry) {
        id = entry.id
        at = entry.at
        act = entry.event.act
        actor = entry.event.actor.name
        actorId = entry.event.actor.id
        subject = entry.event.subject
        details = entry.event.details
        address = entry.event.actor.address
        requestId = entry.event.actor.requestID
    }
}

/// One page of a list.
struct AccountPage<Item: Encodable>: Encodable {
    let items: [Item]
    let nextCursor: String?

    private enum CodingKeys: String, CodingKey {
        case items, nextCursor
    }

    /// - Parameters:
    ///   - limit: how many were asked for; fewer are the last page. Nil if there are no further pages.
    ///   - cursor: what the next page begins after.
    init<Source>(_ page: [Source], limit: Int?, cursor: (Source) -> String, item: (Source) -> Item) {
        items = page.map(item)
        nextCursor = page.count == limit ? page.last.map(cursor) : nil
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(items, forKey: .items)
        // Null on the last page, as in the other lists.
        try container.encode(nextCursor, forKey: .nextCursor)
    }
}
