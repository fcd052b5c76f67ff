package import Domain
package import Foundation

package enum ApiKeyTag: Identified { package static let identifierPrefix = "key" }
package typealias ApiKeyID = Identifier<ApiKeyTag>

/// A key for a machine or a member of staff, without its secret.
package struct ApiKey: Hashable, Sendable {
    package var id: ApiKeyID
    /// Whose it is, in words; also the actor in the change log.
    package var name: String
    package var role: AccessRole
    /// How the secret begins, so that people know which key is which.
    package var prefix: String
    package var createdAt: Date
    package var expiresAt: Date?
    package var revokedAt: Date?
    /// Within a minute or so.
    package var lastUsedAt: Date?

    package init(
        id: ApiKeyID, name: String, role: AccessRole, prefix: String, createdAt: Date, expiresAt: Date? = nil,
        revokedAt: Date? = nil, lastUsedAt: Date? = nil
    ) {
        self.id = id
        self.name = name
        self.role = role
        self.prefix = prefix
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.revokedAt = revokedAt
        self.lastUsedAt = lastUsedAt
    }
}
