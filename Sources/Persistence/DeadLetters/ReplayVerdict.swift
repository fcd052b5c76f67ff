/// What a replay of a letter would do, as far as can be known without doing it.
package enum ReplayVerdict: Hashable, Sendable {
    /// The inbox or the outcome says that its effect has happened.
    case alreadyApplied(String)
    /// Something later has made it pointless.
    case superseded(String)
    /// The visit is over.
    case tooLate(String)
    case wouldSucceed(String)
    case sameError(String)
    case newError(String)
    /// Nobody tried, or the try said nothing.
    case unknown(String)

    /// For programs.
    package var name: String {
        switch self {
        case .alreadyApplied: "already_applied"
        case .superseded: "superseded"
        case .tooLate: "too_late"
        case .wouldSucceed: "would_succeed"
        case .sameError: "same_error"
        case .newError: "new_error"
        case .unknown: "unknown"
        }
    }

    /// For people, without personal data.
    package var explanation: String {
        switch self {
        case .alreadyApplied(let text), .superseded(let text), .tooLate(let text), .wouldSucceed(let text),
            .sameError(let text), .newError(let text), .unknown(let text):
            text
        }
    }
}
