import Foundation
import Messaging
import Postgres
import Sandbox
import TestSupport
import Testing

/// What operators do to the running program, and what it tells them.
@Suite(.serialized, .timeLimit(.minutes(10))) struct RuntimeTests {
    /// The sync worker makes consultations; nothing else needs to run.
    private func consultations(_ neff: Installation) async throws -> Int {
        try await neff.pool.query("select count(*) as count from consultations")[0]["count"]
    }

    private func messages(_ queue: String, _ neff: Installation) async throws -> Int {
        try await BrokerManagement.fromEnvironment().queue(queue, virtualHost: neff.virtualHost).messages ?? 0
    }

    @Test func aPauseOutlivesTheWorkerAndIsOnRecord() async throws {
        try await Installation.with { neff in
            try await neff.start("ingress", "ingress")
            try await neff.start("sync", "worker", "sync")
            let bookings = Bookings(neff, count: 20)
            try await neff.run("queues", "pause", "sync", "--reason", "trying something", "--as", "ann")
            let hasStopped = try await neff.eventually {
                try await BrokerManagement.fromEnvironment().queue("sync", virtualHost: neff.virtualHost).consumers == 0
            }
            #expect(hasStopped)
            try await bookings.send(concurrency: 4)
            await neff.kill("sync")
            try await neff.start("sync", "worker", "sync")
            #expect(try await consultations(neff) == 0)
            let status = try await neff.run("status")
            #expect(status.contains("sync is PAUSED by ann") && status.contains("trying something"))
            let list = try await neff.run("queues", "list")
            #expect(list.contains("paused"))

            try await neff.run("queues", "resume", "sync", "--as", "bob")
            let isDone = try await neff.eventually { try await consultations(neff) == 20 }
            #expect(isDone)
            let log = try await neff.pool.query("select actor, act, subject, reason from operator_log order by id")
            #expect(try log.map { try $0.decode("actor", as: String.self) } == ["ann", "bob"])
            #expect(try log.map { try $0.decode("act", as: String.self) } == ["queue.pause", "queue.resume"])
            #expect(try log[0].decode("reason", as: String?.self) == "trying something")
            let (code, _, errors) = try await neff.execute(["queues", "pause", "snyc"])
            #expect(code == 64 && errors.contains("scheduling.urgent"))
        }
    }

    @Test func whoIsToldToStopSaysWhatBecameOfWhatItHad() async throws {
        try await Installation.with { neff in
            try await neff.start("ingress", "ingress")
            try await neff.start("sync", "worker", "sync")
            let bookings = Bookings(neff, count: 300)
            async let sending: Void = bookings.send(concurrency: 8)
            try await Task.sleep(for: .milliseconds(600))
            #expect(await neff.terminate("sync") == 0)
            let line = try #require(
                neff.log(of: "sync").split(separator: "\n").first { $0.contains("drain_receipt") })
            struct Printed: Decodable {
                struct Receipt: Decodable {
                    let role: String
                    let inHand: Int
                    let finished: Int
                    let postponed: Int
                    let returned: Int
                    let left: Int
                    let deliveryCountsBurned: Int
                    let ms: Int
                }
                let drainReceipt: Receipt
            }
            let receipt = try WireJSON.decode(Printed.self, from: Array(line.utf8)).drainReceipt
            #expect(receipt.role == "sync" && receipt.deliveryCountsBurned == 0)
            #expect(receipt.inHand == receipt.finished + receipt.postponed)
            let status = try await neff.run("status")
            #expect(status.contains("LAST STOPPED"))
            try await neff.start("sync", "worker", "sync")
            try await sending
            let isDone = try await neff.eventually { try await consultations(neff) == 300 }
            #expect(isDone)
        }
    }

    /// One mail is held up by its server, so the notification worker drains for seconds. The others of its process must not
    /// go on taking work until it is done.
    @Test func allWorkersOfAProcessStopTakingAtOnce() async throws {
        let server = try ScriptedSMTPServer { $0.moment == .recipient ? .silence : nil }
        defer { server.stop() }
        let settings = ["SMTP_URL": "smtp://127.0.0.1:\(server.port)/client.test?starttls=none"]
        try await Installation.with(settings: settings) { neff in
            try await neff.start("ingress", "ingress")
            try await neff.start("all", "worker", "all")
            let bookings = Bookings(neff, count: 300)
            async let sending: Void = bookings.send(concurrency: 4)
            await server.next(.recipient)
            #expect(await neff.terminate("all") == 0)
            try await sending
            let log = neff.log(of: "all")
            let receipts = log.split(separator: "\n").filter { $0.contains("drain_receipt") }
            #expect(receipts.count == 3, "\(receipts)")
            #expect(receipts.allSatisfy { $0.contains("\"delivery_counts_burned\":0") }, "\(receipts)")
            let lines = log.split(separator: "\n").filter { $0.contains("\"worker stop") }
            let stopped = try #require(
                lines.firstIndex { $0.contains("\"worker stopped\"") && $0.contains("notification@") })
            #expect(lines[..<stopped].count { $0.contains("\"worker stops\"") } == 3, "\(lines)")
        }
    }

    /// 202 was said to every booking, by ingresses that were killed while they said it; the books have them all.
    @Test func theBooksBalanceAndAPlantedLossIsNamed() async throws {
        try await Installation.with { neff in
            try await neff.startEverything()
            let bookings = Bookings(neff, count: 200)
            async let sending: Void = bookings.send(concurrency: 8, pause: .milliseconds(20))
            for _ in 0..<3 {
                try await Task.sleep(for: .milliseconds(300))
                await neff.kill("ingress")
                try await neff.start("ingress", "ingress")
            }
            try await sending
            try await bookings.expectOneEffectAndOneMailEach()
            // The last ids are on their way to the ledger for half a second.
            let isRecorded = try await neff.eventually {
                let ids: Int = try await neff.pool.query(
                    "select count(distinct message_id) as count from ledger where consumers = 'sync'")[0]["count"]
                return ids == 200
            }
            #expect(isRecorded)
            let balanced = try await neff.execute(["ledger", "balance"])
            #expect(balanced.code == 0, "\(balanced.output) \(balanced.errors)")

            let lost: String = try await neff.pool.query(
                """
                delete from inbox where (consumer, message_id) in
                    (select consumer, message_id from inbox where consumer = 'scheduling' limit 1)
                returning message_id
                """)[0]["message_id"]
            let found = try await neff.execute(["ledger", "balance", "--looks", "2"])
            #expect(found.code == 1 && found.output.contains("MISSING from scheduling:"))
            #expect(found.output.contains(lost))
        }
    }
}
