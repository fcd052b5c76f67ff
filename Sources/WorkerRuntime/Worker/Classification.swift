import Postgres

/// What an error says about the work in which it was thrown.
package enum FailureCause: Hashable, Sendable {
    /// PostgreSQL, or the way to it, is away: nothing is wrong with the message.
    case databaseAway
    /// The transaction lost against another one; the same work may win at once.
    case contention(Failure)
    /// The message's bytes are not what its type promises.
    case undecodable(Failure)
    /// The database cannot store what the message says, whenever it is asked.
    case unstorable(Failure)
    /// The task was cancelled.
    case cancelled
    /// Anything else; it may work later, and the attempts are counted.
    case other(Failure)

    /// Reads an error.
    package init(_ error: any Error) {
        switch error {
        case is CancellationError:
            self = .cancelled
        case let error as DecodingError:
            self = .undecodable(Failure(code: "decode", detail: Self.describe(error)))
        case let error as PostgresError:
            self = Self.read(error)
        default:
            self = .other(Failure(code: "error.\(type(of: error))", detail: "\(error)"))
        }
    }

    private static func read(_ error: PostgresError) -> FailureCause {
        // A commit whose answer was lost is run again: the inbox tells whether it took place.
        if error.isCommitUnknown { return .databaseAway }
        switch error.sqlState {
        case .serializationFailure?, .deadlockDetected?:
            return .contention(Failure(code: "db.\(error.sqlState?.rawValue ?? "")", detail: error.description))
        default:
            break
        }
        if let state = error.sqlState, isAboutTheData(state) {
            return .unstorable(Failure(code: "db.\(state.rawValue)", detail: error.description))
        }
        switch error.code {
        case .connectionFailed, .connectionLost, .poolTimeout, .authenticationFailed, .tlsFailed, .closed:
            return .databaseAway
        default:
            return .other(
                Failure(code: "db.\(error.sqlState?.rawValue ?? error.code.rawValue)", detail: error.description))
        }
    }

    /// States that the same statement with the same values meets every time. A unique or foreign key is not among them: the
    /// other row may change.
    private static func isAboutTheData(_ state: SQLState) -> Bool {
        state.classCode == SQLState.dataException
            || [.notNullViolation, .checkViolation, .programLimitExceeded].contains(state)
    }

    /// Where decoding failed and why, without any of the content.
    private static func describe(_ error: DecodingError) -> String {
        func path(_ context: DecodingError.Context) -> String {
            let path = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }
            return "/" + path.joined(separator: "/")
        }
        return switch error {
        case .typeMismatch(let type, let context): "at \(path(context)): not a \(type)"
        case .valueNotFound(let type, let context): "at \(path(context)): no \(type)"
        case .keyNotFound(let key, let context): "at \(path(context)): no \(key.stringValue)"
        case .dataCorrupted(let context): "at \(path(context)): \(context.debugDescription)"
        @unknown default: "unknown"
        }
    }
}
