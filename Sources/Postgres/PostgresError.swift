/// What went wrong between a caller and PostgreSQL.
///
/// `description` is safe to log: it never holds row data, parameter values or a password. What the server said about
/// values (its detail, and its message where that quotes input) is in `debugDescription` only.
package struct PostgresError: Error, Sendable {
    /// The kind of failure; new kinds may be added.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        package let rawValue: String

        package var description: String { rawValue }

        /// The configuration cannot be used: a URL that does not parse, a limit that makes no sense.
        package static let invalidConfiguration = Code(rawValue: "invalid_configuration")
        /// No connection could be made.
        package static let connectionFailed = Code(rawValue: "connection_failed")
        /// The connection broke while it was in use.
        package static let connectionLost = Code(rawValue: "connection_lost")
        /// The server refused the user or the password.
        package static let authenticationFailed = Code(rawValue: "authentication_failed")
        /// TLS could not be agreed on, or the server's certificate is not the one asked for.
        package static let tlsFailed = Code(rawValue: "tls_failed")
        /// A connection attempt, a lock or a statement took longer than allowed.
        package static let timeout = Code(rawValue: "timeout")
        /// No connection of the pool came free in time.
        package static let poolTimeout = Code(rawValue: "pool_timeout")
        /// The pool or the connection has been closed.
        package static let closed = Code(rawValue: "closed")
        /// Somebody else cancelled the statement. (A cancelled task gets `CancellationError`.)
        package static let cancelled = Code(rawValue: "cancelled")
        /// The server reported an error; `sqlState` says which.
        package static let server = Code(rawValue: "server")
        /// A commit found that its transaction had failed earlier, and everything was rolled back.
        package static let transactionAborted = Code(rawValue: "transaction_aborted")
        /// A value cannot be sent: a NUL in text, a date that is not finite, JSON that does not encode.
        package static let invalidParameter = Code(rawValue: "invalid_parameter")
        /// A result does not hold what was asked of it.
        package static let decodingFailed = Code(rawValue: "decoding_failed")
        /// The call is not allowed now, such as a transaction used after its end.
        package static let misuse = Code(rawValue: "misuse")
        /// A migration is malformed, missing, out of order or was edited after it was applied.
        package static let invalidMigration = Code(rawValue: "invalid_migration")
        /// The database has migrations that this program does not know.
        package static let schemaTooNew = Code(rawValue: "schema_too_new")
        /// The database lacks migrations that this program needs.
        package static let schemaTooOld = Code(rawValue: "schema_too_old")
    }

    /// What the server added to an error.
    struct Report: Sendable {
        var severity = ""
        var message = ""
        var detail: String?
        var hint: String?
        var function: String?
    }

    package var code: Code
    /// One sentence without data.
    package var message: String
    /// The server's condition code, if the server had its say.
    package var sqlState: SQLState?
    /// The violated constraint.
    package var constraint: String?
    /// The table concerned.
    package var table: String?
    /// The column concerned.
    package var column: String?
    /// Whether a commit was sent and its answer never came: the transaction is either durable or gone, and only a look
    /// at the data can tell. Never retriable by itself; run idempotent work again.
    package var isCommitUnknown = false
    /// What led to this error.
    package var underlying: (any Error)?
    var report: Report?
    /// Whether the connection was found broken before anything was sent, so that another one may be tried.
    var isUnsent = false
    /// Whether the request was sent, or begun to be, and the connection ended before the answer: what it did is unknown.
    var isUnanswered = false

    package init(_ code: Code, _ message: String, sqlState: SQLState? = nil, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.sqlState = sqlState
        self.underlying = underlying
    }

    /// Whether the same work may well succeed if it is run again from its beginning.
    ///
    /// True for lost connections, serialization failures, deadlocks, a server that is starting, stopping or out of
    /// resources, and for time limits. A statement outside a transaction may have taken effect before its connection
    /// broke, so whoever retries one must have made it idempotent.
    package var isRetriable: Bool {
        if isCommitUnknown { return false }
        switch sqlState {
        case .serializationFailure?, .deadlockDetected?, .lockNotAvailable?, .adminShutdown?, .crashShutdown?,
            .cannotConnectNow?, .idleInTransactionTimeout?:
            return true
        case let state? where state.classCode == "53" || state.classCode == "08":
            return true
        case .some where code == .connectionFailed:
            return false
        default:
            return code == .connectionFailed || code == .connectionLost || code == .timeout || code == .poolTimeout
                || isStaleStatement
        }
    }

    /// The error of a request that commits by itself: without an answer nobody knows whether it did.
    var asOfCommit: PostgresError {
        var error = self
        if isUnanswered { error.isCommitUnknown = true }
        return error
    }

    /// Whether a cached statement no longer fits the schema; preparing it again helps.
    var isStaleStatement: Bool {
        // The function's name tells this case from every other "feature not supported", in any language of the server.
        sqlState == .unknownStatementName
            || sqlState == .featureNotSupported && report?.function == "RevalidateCachedQuery"
    }

    /// Whether the server ended the session with this error.
    var endsSession: Bool {
        report.map { $0.severity == "FATAL" || $0.severity == "PANIC" } ?? false
    }
}

extension PostgresError: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String {
        var text = "\(code): \(message)"
        if let sqlState { text += " [\(sqlState)]" }
        if let table { text += " table \(table)" }
        if let column { text += " column \(column)" }
        if let constraint { text += " constraint \(constraint)" }
        if isCommitUnknown { text += "; whether the transaction was committed is unknown" }
        if let cause = underlying as? PostgresError { text += " (after \(cause))" }
        return text
    }

    package var debugDescription: String {
        var text = description
        if let report {
            text += "; server says: \(report.severity): \(report.message)"
            if let detail = report.detail { text += "; detail: \(detail)" }
            if let hint = report.hint { text += "; hint: \(hint)" }
        }
        if let underlying, !(underlying is PostgresError) { text += "; after \(underlying)" }
        return text
    }
}

extension PostgresError {
    /// Classes whose primary message is made of names only. Others quote values ("invalid input syntax ... "x"") or
    /// are written by anybody (P0).
    private static let quotable: Set<String> = [
        "08", "0A", "23", "25", "26", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58",
    ]

    /// An error as the server reported it.
    init(report: Report, sqlState: SQLState?) {
        let isQuotable = sqlState.map { Self.quotable.contains($0.classCode) } ?? false
        var code = Code.server
        var message = isQuotable ? report.message : "the server refused the statement"
        switch sqlState {
        case .queryCanceled?:
            code = report.message.contains("timeout") ? .timeout : .cancelled
        case .lockNotAvailable? where report.message.contains("timeout"):
            code = .timeout
        case .invalidPassword?, .invalidAuthorization?:
            code = .authenticationFailed
        default:
            break
        }
        if report.severity == "FATAL" || report.severity == "PANIC", code != .authenticationFailed {
            code = .connectionLost
            message = "the server ended the session: \(message)"
        }
        self.init(code, message, sqlState: sqlState)
        self.report = report
    }
}
