import Glibc
import Postgres
import TestSupport
import Testing

private let tlsURL = getenv("DATABASE_TLS_URL").map { String(cString: $0) }

/// Against a server with a certificate for `localhost` and no other name.
@Suite(.timeLimit(.minutes(1)), .enabled(if: tlsURL != nil, "DATABASE_TLS_URL names a server with TLS"))
struct TLSTests {
    private func configuration() throws -> PostgresConfiguration {
        try PostgresConfiguration(url: #require(tlsURL), applicationName: "neff-tests")
    }

    @Test func theRightNameIsAcceptedAndTheSessionIsEncrypted() async throws {
        let connection = try await PostgresConnection.connect(configuration(), logger: .silent)
        let row = try await connection.query("select ssl from pg_stat_ssl where pid = pg_backend_pid()")[0]
        #expect(try row["ssl"] == true)
        await connection.close()
    }

    @Test func aWrongNameIsRefused() async throws {
        let wrong = try configuration().withParameter("host", "127.0.0.2")
        let error = await #expect(throws: PostgresError.self) {
            try await PostgresConnection.connect(wrong, logger: .silent)
        }
        #expect(error?.code == .tlsFailed)
        #expect(error?.isRetriable == false)
        // Only the name is wrong: without the check of it the same server is good.
        let unnamed = try await PostgresConnection.connect(wrong.withParameter("sslmode", "verify-ca"), logger: .silent)
        await unnamed.close()
    }

    @Test func anUnknownAuthorityIsRefused() async throws {
        let error = await #expect(throws: PostgresError.self) {
            try await PostgresConnection.connect(
                configuration().withParameter("sslrootcert", "/etc/ssl/certs/ca-certificates.crt"), logger: .silent)
        }
        #expect(error?.code == .tlsFailed)
    }

    private func configuration(through proxy: FaultProxy) throws -> PostgresConfiguration {
        try configuration().withParameter("hostaddr", "127.0.0.1").withParameter("port", "\(proxy.port)")
    }

    @Test func aCutWhileIdleIsALostConnection() async throws {
        let proxy = try FaultProxy(to: configuration())
        defer { proxy.stop() }
        let connection = try await PostgresConnection.connect(configuration(through: proxy), logger: .silent)
        _ = try await connection.query("select 1")
        proxy.cut()
        let error = await #expect(throws: PostgresError.self) {
            while true { _ = try await connection.query("select 1") }
        }
        #expect(error?.code == .connectionLost, "\(String(describing: error))")
        #expect(error?.isRetriable == true)
    }

    /// The server's answer to the first record of the handshake (22, TLS 1.0 as all begin) is lost with the connection.
    @Test func aCutInTheHandshakeHealsInTime() async throws {
        let proxy = try FaultProxy(to: configuration())
        defer { proxy.stop() }
        proxy.when("\u{16}\u{3}\u{1}", .swallowAnswer)
        let error = await #expect(throws: PostgresError.self) {
            try await PostgresConnection.connect(configuration(through: proxy), logger: .silent)
        }
        #expect(error?.code == .connectionFailed, "\(String(describing: error))")
        #expect(error?.isRetriable == true)

        let pool = try PostgresPool(
            configuration: configuration(through: proxy), size: 1, acquireTimeout: .seconds(30), logger: .silent)
        let before = proxy.accepted
        async let row = pool.query("select 1")
        try await waitUntil { proxy.accepted > before + 1 }
        proxy.when("", .pass)
        _ = try await row
        await pool.shutDown()
    }

    @Test func statementsCanBeCancelledOverTLS() async throws {
        let pool = try PostgresPool(configuration: configuration(), size: 1, logger: .silent)
        let (started, start) = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            try await pool.withConnection { connection in
                _ = try await connection.query("select 1")
                start.yield()
                _ = try await connection.query("select pg_sleep(60)")
            }
        }
        _ = await started.first { _ in true }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        _ = try await pool.query("select 1")
        await pool.shutDown()
    }
}
