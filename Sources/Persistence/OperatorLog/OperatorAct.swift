package import Foundation
package import Postgres

/// Something an operator does, as it goes into the operator log.
package struct OperatorAct: Hashable, Sendable {
    /// What kind of act it is: `<thing>.<verb>`, such as `dead_letter.discard`.
    ///
    /// Each part of the program that lets operators act adds its own in an extension.
    package struct Kind: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        package let rawValue: String

        package init(rawValue: String) {
            self.rawValue = rawValue
        }

        package var description: String { rawValue }
    }

    /// A person at a terminal, or `key:` with the name of an API key.
    package var actor: String
    package var kind: Kind
    /// The id of what it is done to.
    package var subject: String
    package var reason: String?
    /// A JSON object with what else is worth knowing later. Never holds bodies, secrets or personal data.
    package var details: JSONText

    package init(
        actor: String, kind: Kind, subject: String, reason: String? = nil, details: JSONText = JSONText("{}")
    ) {
        self.actor = actor
        self.kind = kind
        self.subject = subject
        self.reason = reason
        self.details = details
    }
}

/// A row of the operator log.
package struct OperatorLogEntry: Hashable, Sendable {
    /// From 1, without gaps.
    package var id: Int
    /// UTC with microseconds, in the text that the hash is computed over.
    package var atText: String
    package var at: Date
    package var act: OperatorAct
    /// Nil in the first entry.
    package var previousHash: String?
    /// SHA-256 in lowercase hexadecimal.
    package var hash: String
}
