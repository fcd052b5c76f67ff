import Logging
import Postgres
import Synchronization
import TestSupport
import Testing

/// One connection to the maintenance database, closed afterwards.
func withConnection(
    _ change: (inout PostgresConfiguration) -> Void = { _ in }, body: (PostgresConnection) async throws -> Void
) async throws {
    var configuration = try DatabaseServer().configuration
    change(&configuration)
    let connection = try await PostgresConnection.connect(configuration, logger: .silent)
    do {
        try await body(connection)
    } catch {
        await connection.close()
        throw error
    }
    await connection.close()
}

extension PostgresConnection {
    /// The server process of this session.
    func backendPID() async throws -> Int {
        try await query("select pg_backend_pid() as pid")[0].decode("pid", as: Int.self)
    }
}

/// Asks the server until the session is busy with the statement.
func waitUntilRunning(_ statement: String, pid: Int) async throws {
    try await withConnection { observer in
        try await waitUntil {
            try await observer.query(
                """
                select 1 from pg_stat_activity
                where pid = \(pid) and state = 'active' and query like '%' || \(statement)::text || '%'
                """
            ).count == 1
        }
    }
}

/// Polls a condition that nothing announces; the time limit of the suite ends a wait for ever.
func waitUntil(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(5)) }
}

/// Keeps what is logged.
final class LogCapture: Sendable {
    struct Entry: Sendable {
        let level: Logger.Level
        let message: String
        let metadata: [String: String]
    }

    private let captured = Mutex<[Entry]>([])

    var entries: [Entry] { captured.withLock { $0 } }

    func logger(level: Logger.Level) -> Logger {
        Logger(label: "capture") { _ in Handler(capture: self, logLevel: level) }
    }

    private func append(_ entry: Entry) {
        captured.withLock { $0.append(entry) }
    }

    private struct Handler: LogHandler {
        let capture: LogCapture
        var logLevel: Logger.Level
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
            capture.append(
                Entry(level: event.level, message: "\(event.message)", metadata: all.mapValues { "\($0)" }))
        }
    }
}
