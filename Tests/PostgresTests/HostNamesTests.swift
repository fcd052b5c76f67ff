import Dispatch
import TestSupport
import Testing

@testable import Postgres

@Suite(.timeLimit(.minutes(1))) struct HostNamesTests {
    private let book: HostNames.Lookup = { name in
        switch name {
        case "one": (["192.0.2.1", "2001:db8::1"], "")
        case "two": (["192.0.2.2"], "")
        default: ([], "Name or service not known")
        }
    }

    @Test func everyAddressOfEveryHostIsTriedInOrder() throws {
        let names = try #require(HostNames(["host": "one,/run,192.0.2.9,two,none", "port": "1,2,3,4,5"]))
        #expect(
            try names.resolve(book) == [
                "host": "one,one,/run,192.0.2.9,two", "hostaddr": "192.0.2.1,2001:db8::1,,,192.0.2.2",
                "port": "1,1,2,3,4",
            ])
    }

    @Test(arguments: [["port": "7"], [:]]) func onePortIsForAll(parameters: [String: String]) throws {
        let names = try #require(HostNames(parameters.merging(["host": "one"]) { $1 }))
        let port = parameters["port", default: ""]
        #expect(try names.resolve(book)["port"] == "\(port),\(port)")
    }

    @Test(arguments: [
        [:], ["host": ""], ["host": "/var/run"], ["host": "@abstract"], ["host": "127.0.0.1,::1"],
        ["host": "fe80::1%eth0"], ["host": "one", "hostaddr": "192.0.2.1"], ["host": "one,two", "port": "1,2,3"],
    ])
    func nothingElseIsLookedUp(parameters: [String: String]) {
        #expect(HostNames(parameters) == nil)
    }

    @Test func anUnknownNameIsSaid() throws {
        let names = try #require(HostNames(["host": "none"]))
        let error = #expect(throws: PostgresError.self) { try names.resolve(book) }
        #expect(error?.code == .connectionFailed)
        #expect(error?.message.contains("none cannot be resolved: Name or service not known") == true)
    }

    @Test func theSystemKnowsLocalhost() {
        #expect(HostNames.system("localhost").addresses.contains { ["127.0.0.1", "::1"].contains($0) })
        #expect(HostNames.system("no-such-host.invalid").addresses.isEmpty)
    }

    @Test func aNameLeadsToTheServer() async throws {
        let configuration = try DatabaseServer().configuration.withParameter("host", "database.example")
        let threads = PostgresThreads(lookUp: { _ in (["127.0.0.1"], "") })
        let connection = try await PostgresConnection.connect(configuration, threads: threads, logger: .silent)
        _ = try await connection.query("select 1")
        await connection.close()
    }

    /// The resolver does not answer: others on the same threads go on, and the attempt ends in time.
    @Test func aLookupThatHangsStopsNobodyElse() async throws {
        let gate = DispatchSemaphore(value: 0)
        defer { gate.signal() }
        let threads = PostgresThreads(lookUp: { _ in
            gate.wait()
            return ([], "too late")
        })
        let server = try DatabaseServer().configuration
        let other = try await PostgresConnection.connect(server, threads: threads, logger: .silent)
        var slow = server.withParameter("host", "slow.example")
        slow.connectTimeout = .milliseconds(200)
        let attempt = Task { [slow] in
            try await PostgresConnection.connect(slow, threads: threads, logger: .silent)
        }
        for _ in 0..<20 { _ = try await other.query("select pg_sleep(0.001)") }
        let error = await #expect(throws: PostgresError.self) { try await attempt.value }
        #expect(error?.code == .timeout)
        _ = try await other.query("select 1")
        await other.close()
    }
}
