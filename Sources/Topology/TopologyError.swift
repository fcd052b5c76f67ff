/// Why the topology could not be read, compared or changed.
package struct TopologyError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of failure; more may be added.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        package let description: String

        /// The topology file is not well formed or contradicts itself.
        package static let invalidDocument = Code(description: "invalid_document")
        /// The management API cannot be reached, or the connection broke.
        package static let unreachable = Code(description: "unreachable")
        /// The management API does not know the user or the password, or the user lacks the administrator tag.
        package static let accessRefused = Code(description: "access_refused")
        /// The management API refused a request.
        package static let refused = Code(description: "refused")
        /// The management API answered something that cannot be read.
        package static let unexpectedAnswer = Code(description: "unexpected_answer")
        /// The plan holds what cannot be changed in place; nothing was applied.
        package static let conflict = Code(description: "conflict")
        /// A setting that the command needs is missing or malformed.
        package static let invalidSetting = Code(description: "invalid_setting")
    }

    /// What kind of failure.
    package let code: Code
    /// One or more lines, safe to log, that say what to do.
    package let message: String

    /// Makes an error; the message must hold no password.
    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "topology: \(message)" }
}
