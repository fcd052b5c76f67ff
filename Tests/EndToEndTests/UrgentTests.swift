import Foundation
import Postgres
import Sandbox
import TestSupport
import Testing
import Transport

/// Emergencies overtake what waits.
@Suite(.serialized, .timeLimit(.minutes(5))) struct UrgentTests {
    @Test func anEmergencyOvertakesABacklog() async throws {
        try await Installation.with { neff in
            let backlog = 1_000
            try await neff.start("ingress", "ingress")
            try await neff.start("sync", "worker", "sync")
            try await Bookings(neff, count: backlog).send(concurrency: 8)
            let hasPiledUp = try await neff.eventually {
                try await BrokerManagement.fromEnvironment().queue("scheduling", virtualHost: neff.virtualHost).messages
                    ?? 0 >= backlog
            }
            #expect(hasPiledUp)
            let key = try await neff.run("keys", "create", "--name", "dispatch", "--role", "dispatcher", "--days", "1")
            // One lane, so that what goes first can be counted. Most of the backlog is with the worker when the emergency comes.
            try await neff.start(
                "scheduling", "worker", "scheduling",
                settings: ["NEFF_WORKER_CONCURRENCY": "1", "NEFF_WORKER_PREFETCH": "1000"])
            let operation = try await submitEmergency(neff, key: key)
            let isDone = try await neff.eventually {
                try await neff.pool.query(
                    "select 1 as one from operations where id = \(operation) and status = 'succeeded'"
                ).count == 1
            }
            #expect(isDone)
            let count = try await neff.pool.query(
                """
                select count(*) filter (where handled_at < created_at) as before,
                    count(*) filter (where handled_at >= created_at and handled_at < finished_at) as ahead
                from inbox, operations where consumer = 'scheduling' and operations.id = \(operation)
                """)[0]
            let before: Int = try count.decode("before")
            let ahead: Int = try count.decode("ahead")
            try #require(before < backlog - 200, "the backlog was gone too early: \(before) handled")
            #expect(ahead < 100, "\(ahead) of \(backlog - before) messages went first")
        }
    }

    private func submitEmergency(_ neff: Installation, key: String) async throws -> String {
        let body = """
            {"customer": {"name": "Sample Customer", "email": "sinkhole@\(neff.mailDomain)"},
             "site": {"address": "6575 West Pike, Zanesville, OH 43701", "time_zone": "America/New_York"},
             "service": "patching", "priority": "emergency"}
            """
        let answer = try await neff.http.send(
            HTTPRequest(
                method: "POST", url: neff.ingress + "/v1/jobs",
                headers: [
                    "Authorization": "Bearer \(key.trimmingCharacters(in: .whitespacesAndNewlines))",
                    "Content-Type": "application/json", "Idempotency-Key": "sinkhole",
                ], body: Array(body.utf8), timeout: .seconds(10)))
        #expect(answer.status == 202)
        let location = try #require(answer.headers["Location"])
        return String(try #require(location.split(separator: "/").last))
    }
}
