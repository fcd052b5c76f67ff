import AMQP
import Foundation
import Messaging
import Postgres
import TestSupport
import Testing

/// What commands promise to whoever calls them.
@Suite(.serialized, .timeLimit(.minutes(5))) struct CommandTests {
    /// A file with this content for the time of `body`.
    private func withFile<Result>(
        _ text: String, isExecutable: Bool = false, _ body: (String) async throws -> Result
    ) async throws -> Result {
        let file = FileManager.default.temporaryDirectory.appending(path: "neff-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(text.utf8).write(to: file)
        if isExecutable {
            try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: file.path)
        }
        return try await body(file.path)
    }

    @Test func aPlanThatCannotBeAppliedIsNoSuccess() async throws {
        try await Installation.with { neff in
            let clean = try await neff.execute(["topology", "plan"])
            #expect(clean.code == 0, "\(clean.errors)")

            var configuration = try AMQPConfiguration(
                url: BrokerManagement.environment("AMQP_URL"), connectionName: "vandal")
            configuration.virtualHost = neff.virtualHost
            let connection = try await Connection.open(configuration, logger: .silent)
            try await connection.deleteExchange("events")
            try await connection.declareExchange("events", kind: .fanout)
            await connection.close()
            let (code, output, errors) = try await neff.execute(["topology", "plan"])
            #expect(code == 1, "\(errors)")
            #expect(output.contains("exchange events") && output.contains("cannot be changed in place"), "\(output)")
            #expect(try await neff.run("topology", "plan", "--help").contains("Exit code 1"))
        }
    }

    @Test func aStatusThatIsWatchedOutlivesAnOutage() async throws {
        try await Installation.with { neff in
            try await neff.begin("status", "status", "--watch", "--json")
            func snapshots() -> Int { neff.log(of: "status").split(separator: "\n").count { $0.contains("taken_at") } }
            #expect(try await neff.eventually { snapshots() > 0 })
            neff.databaseProxy.accepts = false
            neff.databaseProxy.cut()
            #expect(try await neff.eventually { neff.log(of: "status").contains("Trying again every two seconds.") })
            neff.databaseProxy.accepts = true
            let before = snapshots()
            #expect(try await neff.eventually { snapshots() > before })
            await neff.kill("status")
        }
    }

    @Test func anAPIKeyIsNoArgument() async throws {
        try await Installation.with { neff in
            let day = ["sandbox", "day", "--mailbox", "/nonexistent"]
            let (code, _, errors) = try await neff.execute(day + ["--api-key", "k"])
            #expect(code == 64 && errors.contains("--api-key"), "\(errors)")
            let without = try await neff.execute(day, settings: ["NEFF_API_KEY": nil])
            #expect(without.code == 64 && without.errors.contains("NEFF_API_KEY is not set"), "\(without.errors)")
        }
    }

    @Test func resourcesToWhomNoMailCanBeSentAreRefused() async throws {
        try await Installation.with { neff in
            let json = #"{"resources": [{"kind": "crew", "name": "Crew Süd", "email": "süd@example.com"}]}"#
            try await withFile(json) { path in
                let (code, _, errors) = try await neff.execute(["resources", "import", path])
                #expect(code == 65 && errors.contains("crew Crew Süd"), "\(errors)")
            }
            let count: Int = try await neff.pool.query(
                "select count(*) as count from resources where name = 'Crew Süd'")[0]["count"]
            #expect(count == 0)
        }
    }
}
