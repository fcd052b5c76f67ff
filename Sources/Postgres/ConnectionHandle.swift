import CLibPQ
import Logging
import Synchronization

/// Owns a `PGconn`.
///
/// All calls come from the connection's owner thread: libpq lets one thread at a time use a connection ("Behavior in
/// Threaded Programs").
struct ConnectionHandle: ~Copyable {
    let raw: OpaquePointer
    /// What the notice receiver points to; lives until the connection is freed.
    let notices: NoticeSink

    /// Begins to connect; `PQconnectPoll` goes on.
    ///
    /// - Parameter addresses: of the host names, so that none has to be looked up in here.
    init(
        _ configuration: PostgresConfiguration, addresses: [String: String], logger: Logger
    ) throws(PostgresError) {
        let parameters = configuration.connectionParameters(addresses)
        let raw = withCStrings(parameters.map(\.keyword)) { keywords in
            withCStrings(parameters.map(\.value)) { values in PQconnectStartParams(keywords, values, 0) }
        }
        guard let raw else { throw PostgresError(.connectionFailed, "no memory for a connection") }
        self.raw = raw
        notices = NoticeSink(logger: logger)
        // The verbose form of a failed attempt's message holds the SQLSTATE, which libpq 15 keeps to itself otherwise.
        PQsetErrorVerbosity(raw, PQERRORS_VERBOSE)
        PQsetNoticeReceiver(
            raw,
            { context, result in
                guard let context, let result else { return }
                Unmanaged<NoticeSink>.fromOpaque(context).takeUnretainedValue().log(result)
            },
            // Unretained: this struct retains the sink for longer than libpq may call.
            Unmanaged.passUnretained(notices).toOpaque())
    }

    /// Says goodbye without waiting and frees everything.
    deinit {
        PQfinish(raw)
        withExtendedLifetime(notices) {}
    }

    var descriptor: CInt { PQsocket(raw) }

    var isBroken: Bool { PQstatus(raw) == CONNECTION_BAD }

    var transactionStatus: PGTransactionStatusType { PQtransactionStatus(raw) }

    /// Why the last call failed.
    func lastError(_ code: PostgresError.Code) -> PostgresError {
        ConnectionFailure.error(message: String(cString: PQerrorMessage(raw)), code: code)
    }
}

/// Tells the causes of failed connections apart.
enum ConnectionFailure {
    /// Reads libpq's message, in its verbose form.
    ///
    /// libpq's own messages are English because nothing here calls `setlocale`; the server's may be in any language, so
    /// only their SQLSTATE counts.
    static func error(message: String, code: PostgresError.Code) -> PostgresError {
        let lines = message.split(separator: "\n").filter { !$0.hasPrefix("LOCATION:") }
        let text = lines.joined(separator: "; ")
        let state = sqlState(in: message)
        var code = code
        if state == .invalidPassword || state == .invalidAuthorization || text.contains("no password supplied") {
            code = .authenticationFailed
        } else if code == .connectionFailed, lines.contains(where: isAboutTLS) {
            code = .tlsFailed
        }
        return PostgresError(code, text.isEmpty ? "no reason given" : text, sqlState: state)
    }

    /// Whether TLS itself failed, which does not heal. A network that breaks under TLS is told of in words of TLS too:
    /// `SSL SYSCALL error: Connection reset by peer`, `SSL connection has been closed unexpectedly` and, by OpenSSL 3,
    /// `SSL error: unexpected eof while reading`.
    private static func isAboutTLS(_ line: Substring) -> Bool {
        guard line.contains("certificate") || line.contains("SSL") else { return false }
        return !["SSL SYSCALL error", "closed unexpectedly", "unexpected eof"].contains { line.contains($0) }
    }

    /// The last `FATAL:  28P01: ` of a message: with several hosts, the last one tried.
    private static func sqlState(in message: String) -> SQLState? {
        var found: SQLState?
        for part in message.split(separator: ":") {
            let word = part.drop { $0 == " " }
            guard part.hasPrefix("  "), word.count == 5,
                word.allSatisfy({ $0.isASCII && ($0.isNumber || $0.isUppercase) })
            else { continue }
            found = SQLState(rawValue: String(word))
        }
        return found
    }
}

/// Passes the server's notices to the log.
final class NoticeSink: Sendable {
    private let logger: Logger
    private let fatal = Mutex<PostgresError?>(nil)

    /// What the server said when it ended an idle session: libpq treats that as a notice.
    var lastFatal: PostgresError? { fatal.withLock { $0 } }

    init(logger: Logger) {
        self.logger = logger
    }

    func log(_ result: OpaquePointer) {
        let error = ResultHandle.error(of: result)
        if error.endsSession { fatal.withLock { $0 = error } }
        logger.debug(
            "Notice from the server",
            metadata: [
                LogKey.sqlState: "\(error.sqlState?.rawValue ?? "")",
                LogKey.severity: "\(error.report?.severity ?? "")",
                LogKey.message: "\(error.report?.message ?? "")",
            ])
    }
}

/// Names of the facts in log lines.
enum LogKey {
    static let sqlState = "db.sqlstate"
    static let severity = "db.severity"
    static let message = "db.message"
    static let error = "error.message"
    static let code = "error.code"
    static let channel = "db.channel"
    static let attempt = "db.attempt"
    static let database = "db.server"
}

/// Gives C an array of strings that ends with a null pointer.
func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result
) -> Result {
    var bytes: [CChar] = []
    var starts: [Int] = []
    for string in strings {
        starts.append(bytes.count)
        bytes += string.utf8CString
    }
    return bytes.withUnsafeBufferPointer { bytes in
        let pointers: [UnsafePointer<CChar>?] = starts.map { bytes.baseAddress! + $0 } + [nil]
        return pointers.withUnsafeBufferPointer { body($0.baseAddress!) }
    }
}
