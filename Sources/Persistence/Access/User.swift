package import Domain
package import Foundation

package enum UserTag: Identified { package static let identifierPrefix = "usr" }
package typealias UserID = Identifier<UserTag>

/// Somebody who may log in, without the password.
package struct User: Hashable, Sendable {
    package var id: UserID
    /// As it was typed; compared without regard to case.
    package var email: String
    package var name: String
    package var role: AccessRole
    package var passwordChangedAt: Date
    /// Nil while the user may log in.
    package var disabledAt: Date?
    package var lastLoginAt: Date?
    /// Rises with every change of e-mail address, name, role, password or whether the user is disabled.
    package var version: Int
    package var createdAt: Date
    package var updatedAt: Date

    package var isDisabled: Bool { disabledAt != nil }

    package init(
        id: UserID, email: String, name: String, role: AccessRole, passwordChangedAt: Date, disabledAt: Date? = nil,
        lastLoginAt: Date? = nil, version: Int = 1, createdAt: Date, updatedAt: Date
    ) {
        self.id = id
        self.email = email
        self.name = name
        self.role = role
        self.passwordChangedAt = passwordChangedAt
        self.disabledAt = disabledAt
        self.lastLoginAt = lastLoginAt
        self.version = version
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }
}

/// Who is to become a user.
package struct NewUser: Sendable {
    package var email: String
    package var name: String
    package var role: AccessRole
    package var password: PasswordHash

    /// - Parameter role: any but `service`, which belongs to machines; the database refuses that one.
    package init(email: String, name: String, role: AccessRole, password: PasswordHash) {
        self.email = email
        self.name = name
        self.role = role
        self.password = password
    }
}

/// What changes of a user; nil leaves it as it is.
package struct UserChange: Hashable, Sendable {
    package var name: String?
    package var role: AccessRole?
    package var isDisabled: Bool?

    package init(name: String? = nil, role: AccessRole? = nil, isDisabled: Bool? = nil) {
        self.name = name
        self.role = role
        self.isDisabled = isDisabled
    }
}

/// Who does something to users, sessions and keys, for the record.
package struct AccessActor: Hashable, Sendable {
    /// `user:` or `key:` with a name, or a person at a terminal; nil if nobody has shown who they are.
    package var name: String?
    /// The user's or key's id; nil at a terminal.
    package var id: String?
    /// Where the request came from; nil at a terminal.
    package var address: String?
    package var requestID: String?

    package init(name: String?, id: String? = nil, address: String? = nil, requestID: String? = nil) {
        self.name = name
        self.id = id
        self.address = address
        self.requestID = requestID
    }
}
