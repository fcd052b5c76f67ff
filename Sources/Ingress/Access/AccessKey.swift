package import Foundation

/// An API key as the ingress needs it; the secret itself is stored nowhere.
package struct AccessKey: Hashable, Sendable {
    package var id: String
    package var name: String
    package var role: Role
    package var expiresAt: Date?
    package var isRevoked: Bool

    package init(id: String, name: String, role: Role, expiresAt: Date? = nil, isRevoked: Bool = false) {
        self.id = id
        self.name = name
        self.role = role
        self.expiresAt = expiresAt
        self.isRevoked = isRevoked
    }
}
