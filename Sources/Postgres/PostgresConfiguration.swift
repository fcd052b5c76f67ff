import CLibPQ

/// Where the server is, who we are to it, and the limits of every session.
///
/// Neither printing nor dumping it shows the password.
package struct PostgresConfiguration: Sendable {
    /// Connection parameters of libpq by keyword ("Parameter Key Words"), from the URL.
    private(set) var parameters: [String: String]
    /// The session's name in `pg_stat_activity`.
    package var applicationName: String
    /// How long one attempt to connect may take: names looked up, all hosts, TLS and authentication included.
    package var connectTimeout: Duration = .seconds(5)
    /// The server ends a statement after this; nil for no limit. Our side gives up on a silent server a while later.
    package var statementTimeout: Duration? = .seconds(30)
    /// The server ends a wait for a lock after this; nil for no limit.
    package var lockTimeout: Duration? = .seconds(10)
    /// The server ends a session whose transaction stays idle for this long; nil for no limit.
    package var idleInTransactionTimeout: Duration? = .seconds(60)
    /// Has the server reach rows by an index wherever there is one. A prepared statement keeps the plan that was made for it;
    /// one that was made while a table was small, to read all of it, would be kept while the table grows. Compilation of
    /// plans, which costs more than any such statement, is off then.
    package var prefersIndexes = false
    /// How much longer than the statement timeout our side waits for the server's word; tests wait less.
    var silenceAllowance: Duration = .seconds(10)
    /// Statements kept prepared on each connection; 0 prepares none.
    package var statementCacheSize = 256

    /// Reads a `postgres://user:password@host:port/database?sslmode=verify-full` URL; its query takes any parameter of
    /// libpq. `postgresql://` and keyword strings work as well.
    ///
    /// - Throws: `invalidConfiguration`, without a word of the URL.
    package init(url: String, applicationName: String) throws(PostgresError) {
        guard let parameters = Self.parse(url) else {
            throw PostgresError(
                .invalidConfiguration,
                "the database URL cannot be read; it looks like "
                    + "postgres://user:password@host:5432/database?sslmode=verify-full, with special characters of the "
                    + "password percent-encoded")
        }
        self.parameters = parameters
        self.applicationName = applicationName
    }

    private static func parse(_ url: String) -> [String: String]? {
        guard !url.isEmpty, !url.utf8.contains(0) else { return nil }
        var message: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(url, &message) else {
            // The message quotes the URL, so it is dropped.
            PQfreemem(message)
            return nil
        }
        defer { PQconninfoFree(options) }
        var parameters: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { parameters[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        return parameters
    }

    /// The database's name, if the URL has one.
    package var database: String? { parameters["dbname"] }

    /// The same server and user with another database.
    package func withDatabase(_ name: String) -> PostgresConfiguration {
        var copy = self
        copy.parameters["dbname"] = name
        return copy
    }

    /// The same with one connection parameter of libpq set.
    package func withParameter(_ keyword: String, _ value: String) -> PostgresConfiguration {
        var copy = self
        copy.parameters[keyword] = value
        return copy
    }

    /// The host names to look up before connecting; nil if there are none.
    var hostNames: HostNames? { HostNames(parameters) }

    /// Everything libpq is given, in the form it wants.
    ///
    /// - Parameter addresses: what `HostNames.resolve` has found.
    func connectionParameters(_ addresses: [String: String]) -> [(keyword: String, value: String)] {
        // What the URL may replace. A dead peer shows within 10 + 3 * 5 s, unacknowledged bytes within 20 s.
        var all = [
            "application_name": applicationName,
            "keepalives": "1", "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3",
            "tcp_user_timeout": "20000",
            // Otherwise libpq looks for Kerberos credentials first, on every connection.
            "gssencmode": "disable",
        ]
        all.merge(parameters) { _, url in url }
        all.merge(addresses) { _, resolved in resolved }
        all["client_encoding"] = "UTF8"
        all["options"] = options
        return all.map { (keyword: $0.key, value: $0.value) }.sorted { $0.keyword < $1.keyword }
    }

    /// Settings of the session. Of two the later wins: the URL's `options` replace the limits, and nothing replaces what
    /// the decoding of results rests on.
    private var options: String {
        var settings = [
            "statement_timeout=\(Self.milliseconds(statementTimeout))",
            "lock_timeout=\(Self.milliseconds(lockTimeout))",
            "idle_in_transaction_session_timeout=\(Self.milliseconds(idleInTransactionTimeout))",
        ].map { "-c \($0)" }
        if prefersIndexes { settings.append("-c enable_seqscan=off -c jit=off") }
        if let more = parameters["options"] { settings.append(more) }
        settings += [
            "TimeZone=UTC", "DateStyle=ISO", "IntervalStyle=iso_8601", "bytea_output=hex", "extra_float_digits=1",
            "standard_conforming_strings=on",
        ].map { "-c \($0)" }
        return settings.joined(separator: " ")
    }

    private static func milliseconds(_ duration: Duration?) -> Int64 {
        guard let duration else { return 0 }
        let (seconds, attoseconds) = duration.components
        // 0 would mean no limit, and the server's setting is an Int32.
        return min(max(1, seconds * 1000 + attoseconds / 1_000_000_000_000_000), Int64(Int32.max))
    }
}

extension PostgresConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String {
        let host = parameters["host"] ?? parameters["hostaddr"] ?? "local socket"
        return "\(host):\(parameters["port"] ?? "5432")/\(parameters["dbname"] ?? "")"
    }

    package var debugDescription: String { description }

    package var customMirror: Mirror { Mirror(self, children: ["server": description]) }
}
