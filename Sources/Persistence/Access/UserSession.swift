package import Domain
package import Foundation

package enum UserSessionTag: Identified { package static let identifierPrefix = "ses" }
package typealias UserSessionID = Identifier<UserSessionTag>

/// A browser in which somebody has logged in.
package struct UserSession: Hashable, Sendable {
    package var id: UserSessionID
    package var user: UserID
    package var createdAt: Date
    /// Within a minute or so.
    package var lastSeenAt: Date
    /// When it ends at the latest.
    package var expiresAt: Date
    package var address: String?
    package var userAgent: String?

    /// How long sessions last.
    package struct Limits: Hashable, Sendable {
        /// Without a request. SP 800-63B-4 section 2.2.3 asks for an hour at most (AAL2).
        package var idle: TimeInterval
        /// Whatever happens; a working day. SP 800-63B-4 section 2.2.3 asks for 24 hours at most (AAL2).
        package var absolute: TimeInterval

        package init(idle: TimeInterval = 3_600, absolute: TimeInterval = 12 * 3_600) {
            self.idle = idle
            self.absolute = absolute
        }
    }
}
