import Domain
import Foundation
import Messaging
import Postgres
import Sandbox
import TestSupport
import Testing
import Transport

/// The built program against real servers, from the front door to the mailbox.
@Suite(.serialized, .timeLimit(.minutes(10))) struct PipelineTests {
    @Test func aDayAddsUp() async throws {
        try await Installation.with { neff in
            try await neff.startEverything()
            let key = try await neff.run("keys", "create", "--name", "day", "--role", "dispatcher", "--days", "1")
            let target = Day.Target(
                ingress: neff.ingress, apiKey: key.trimmingCharacters(in: .whitespacesAndNewlines),
                signingKey: neff.signingKey)
            var day = Day(
                target: target, http: neff.http, run: String(neff.mailDomain.prefix(12)), now: Date()
            ) { _ in }
            let plan = try await day.play()
            var mistakes: [String] = []
            let addsUp = try await neff.eventually(within: .seconds(90)) {
                let front = Front(target: target, http: neff.http)
                let letters: Int = try await neff.pool.query(
                    "select count(*) as count from dead_letters where status = 'dead'")[0]["count"]
                let account = DayAccount(
                    plan: plan, consultations: try await front.consultations(), jobs: try await front.jobs(),
                    mails: try neff.mails(), deadLetters: letters)
                mistakes = account.mistakes
                return account.addsUp
            }
            #expect(addsUp, "\(mistakes)")
        }
    }

    /// Webhooks go on coming while the workers are killed at random moments, three times each.
    ///
    /// `END_TO_END_BOOKINGS` and `END_TO_END_KILLS` make it as long as wanted.
    @Test func killedProcessesLoseNothingAndRepeatNothing() async throws {
        let environment = ProcessInfo.processInfo.environment
        let count = environment["END_TO_END_BOOKINGS"].flatMap { Int($0) } ?? 300
        let kills = environment["END_TO_END_KILLS"].flatMap { Int($0) } ?? 3
        try await Installation.with { neff in
            try await neff.startEverything()
            let bookings = Bookings(neff, count: count)
            async let sending: Void = bookings.send(concurrency: 8)
            for _ in 0..<kills {
                for victim in ["sync", "scheduling", "notification"].shuffled() {
                    try await Task.sleep(for: .milliseconds(.random(in: 100...500)))
                    await neff.kill(victim)
                    try await neff.start(victim, "worker", victim)
                }
            }
            try await sending
            try await bookings.expectOneEffectAndOneMailEach()
        }
    }

    @Test func aBrokerThatIsAwayCostsNothingThatWasAccepted() async throws {
        try await Installation.with { neff in
            try await neff.startEverything()
            let bookings = Bookings(neff, count: 200)
            async let sending: Void = bookings.send(concurrency: 8, pause: .milliseconds(100))
            try await Task.sleep(for: .milliseconds(500))
            neff.brokerProxy.accepts = false
            neff.brokerProxy.cut()
            try await Task.sleep(for: .seconds(3))
            let spooled: Int = try await neff.pool.query("select count(*) as count from spool")[0]["count"]
            #expect(spooled > 0)
            neff.brokerProxy.accepts = true
            try await sending
            try await bookings.expectOneEffectAndOneMailEach()
        }
    }

    @Test func aDatabaseThatIsAwayCostsNothingThatWasAccepted() async throws {
        try await Installation.with { neff in
            try await neff.startEverything()
            let bookings = Bookings(neff, count: 200)
            async let sending: Void = bookings.send(concurrency: 8, pause: .milliseconds(100))
            try await Task.sleep(for: .milliseconds(500))
            neff.databaseProxy.accepts = false
            neff.databaseProxy.cut()
            try await Task.sleep(for: .seconds(3))
            neff.databaseProxy.accepts = true
            try await sending
            try await bookings.expectOneEffectAndOneMailEach()
        }
    }

    @Test func withBothAwayTheAnswerIs503AndSaysWhenToComeBack() async throws {
        try await Installation.with { neff in
            try await neff.start("ingress", "ingress")
            for proxy in [neff.brokerProxy, neff.databaseProxy] {
                proxy.accepts = false
                proxy.cut()
            }
            let delivery = Bookings(neff, count: 1).deliveries[0]
            let response = try await neff.http.send(
                HTTPRequest(
                    method: "POST", url: neff.ingress + "/webhooks/calendly",
                    headers: ["Calendly-Webhook-Signature": delivery.signature(key: neff.signingKey, at: Date())],
                    body: delivery.body))
            #expect(response.status == 503)
            #expect(response.headers["Retry-After"] != nil)
        }
    }

    @Test func aWorkerToldToStopUnderLoadDrainsWithinItsDeadline() async throws {
        try await Installation.with { neff in
            try await neff.startEverything()
            let bookings = Bookings(neff, count: 200)
            async let sending: Void = bookings.send(concurrency: 8)
            try await Task.sleep(for: .milliseconds(700))
            for role in ["sync", "scheduling", "notification"] {
                let start = ContinuousClock.now
                let code = await neff.terminate(role)
                #expect(code == 0, "\(role)")
                #expect(ContinuousClock.now - start < .seconds(10), "\(role)")
                try await neff.start(role, "worker", role)
            }
            try await sending
            try await bookings.expectOneEffectAndOneMailEach()
        }
    }
}

/// Many bookings, what was answered to each, and what must have come of those that were accepted.
final class Bookings: Sendable {
    private let neff: Installation
    private let emails: [String]
    let deliveries: [Sandbox.Delivery]

    init(_ neff: Installation, count: Int) {
        self.neff = neff
        var account = CalendlyAccount(run: neff.mailDomain, now: Date())
        let calendar = SiteCalendar(now: Date())
        let host = CalendlyAccount.host("Estimator East", email: "estimator-east@\(neff.mailDomain)")
        var emails: [String] = []
        var deliveries: [Sandbox.Delivery] = []
        for index in 0..<count {
            let email = "customer.\(index)@\(neff.mailDomain)"
            let booking = account.book(
                .residential, name: "Customer \(index)", email: email,
                at: calendar.businessDay(2 + index / 4, hour: 8 + 2 * (index % 4)), address: "1 Orchard Hill Rd",
                host: host)
            emails.append(email)
            deliveries.append(account.created(booking))
        }
        self.emails = emails
        self.deliveries = deliveries
    }

    /// Delivers all, each until it is accepted, as Calendly would.
    func send(concurrency: Int, pause: Duration = .zero) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<concurrency {
                group.addTask { [deliveries, neff] in
                    for index in stride(from: lane, to: deliveries.count, by: concurrency) {
                        while await neff.deliver(deliveries[index]) != 202 {
                            try await Task.sleep(for: .milliseconds(200))
                        }
                        if pause > .zero { try await Task.sleep(for: pause) }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Waits until nothing moves, and counts effects and mails of every booking.
    func expectOneEffectAndOneMailEach() async throws {
        let isSettled = try await neff.eventually(within: .seconds(180)) {
            let consultations: Int = try await self.neff.pool.query("select count(*) as count from consultations")[0][
                "count"]
            let sent: Int = try await self.neff.pool.query(
                """
                select count(*) as count from notifications
                where status = 'sent' and recipient like \("customer.%@" + self.neff.mailDomain)
                """)[0]["count"]
            return consultations >= self.emails.count && sent >= self.emails.count
                ? try await self.neff.isSettled() : false
        }
        #expect(isSettled, "messages still wait somewhere")
        let rows = try await neff.pool.query(
            "select customer_email, count(*) as count from consultations group by customer_email")
        let effects = try Dictionary(
            uniqueKeysWithValues: rows.map { row in
                (try row.decode("customer_email", as: String.self), try row.decode("count", as: Int.self))
            })
        var mails: [String: [String]] = [:]
        for mail in try neff.mails() {
            for recipient in mail.recipients { mails[recipient.lowercased(), default: []].append(mail.messageID ?? "") }
        }
        // A mail cut off between the final dot and the server's answer may arrive twice under one Message-ID; such
        // instants are marked in the row and counted apart.
        let ambiguous: Int = try await neff.pool.query(
            "select count(*) as count from notifications where ambiguous")[0]["count"]
        var repeated = 0
        for email in emails {
            #expect(effects[email] == 1, "\(email)")
            let ids = mails[email, default: []]
            #expect(Set(ids).count == 1, "\(email) had \(ids)")
            if ids.count > 1 { repeated += ids.count - 1 }
        }
        #expect(repeated <= ambiguous)
        let overlaps: Int = try await neff.pool.query(
            """
            select count(*) as count from allocations a join allocations b
            on a.resource_id = b.resource_id and a.id < b.id and a.during && b.during and a.active and b.active
            """)[0]["count"]
        #expect(overlaps == 0)
        let letters: Int = try await neff.pool.query("select count(*) as count from dead_letters")[0]["count"]
        #expect(letters == 0)
    }
}
