import AMQP
import Domain
import Foundation
import Logging
import Messaging
import Postgres
import TestSupport
import Testing

/// The mail server refuses every connection for a while, to a notification worker that has never seen it work.
@Suite(.timeLimit(.minutes(5))) struct MailOutageTests {
    private static let count = 300

    @Test func anOutageOfTheMailServerCostsTimeAndNothingElse() async throws {
        let port = try FreePort.take()
        let settings = ["SMTP_URL": "smtp://127.0.0.1:\(port)/client.test?starttls=none"]
        try await Installation.with(settings: settings) { neff in
            try await neff.start("notification", "worker", "notification")
            let recipients = try await publishEvents(neff)

            // Nobody listens at the port. Planning needs no mail server and goes on.
            let isPlanned = try await neff.eventually {
                let planned: Int = try await neff.pool.query("select count(*) as count from notifications")[0]["count"]
                return planned == Self.count
            }
            #expect(isPlanned)
            // Five failures opened it, and at least one trial has failed since.
            let hasTried = try await neff.eventually {
                let rows = try await neff.pool.query(
                    "select 1 as one from breakers where state = 'open' and failures > 5")
                return rows.count == 1
            }
            #expect(hasTried)
            let status = try await neff.run("status")
            #expect(status.contains("smtp is AWAY"), "\(status)")
            let sentSoFar: Int = try await neff.pool.query(
                "select count(*) as count from notifications where status = 'sent'")[0]["count"]
            #expect(sentSoFar == 0)

            let server = try ScriptedSMTPServer()
            let proxy = try BrokerProxy(to: server.port, listeningOn: UInt16(port))
            defer {
                proxy.stop()
                server.stop()
            }
            let isSent = try await neff.eventually(within: .seconds(120)) {
                let sent: Int = try await neff.pool.query(
                    "select count(*) as count from notifications where status = 'sent'")[0]["count"]
                return sent == Self.count
            }
            #expect(isSent)
            var mails: [String: Int] = [:]
            for event in server.events where event.moment == .recipient {
                let address = event.line.drop { $0 != "<" }.dropFirst().prefix { $0 != ">" }
                mails[String(address), default: 0] += 1
            }
            #expect(mails == Dictionary(uniqueKeysWithValues: recipients.map { ($0, 1) }))

            // No attempt was spent on the outage, and nothing was given up.
            _ = await neff.terminate("notification")
            let spent = try await neff.pool.query(
                "select retried + dead_lettered as count from workers where role = 'notification'")
            #expect(try spent.map { try $0.decode("count", as: Int.self) } == [0])
            // The broker's counts lag by some seconds.
            let isEmpty = try await neff.eventually {
                try await BrokerManagement.fromEnvironment().queues(virtualHost: neff.virtualHost)
                    .filter { $0.name.hasPrefix("notification") }.allSatisfy { ($0.messages ?? 0) == 0 }
            }
            #expect(isEmpty)
        }
    }

    /// Publishes bookings as the sync worker would.
    ///
    /// - Returns: whom to tell.
    private func publishEvents(_ neff: Installation) async throws -> [String] {
        var configuration = try AMQPConfiguration(
            url: BrokerManagement.environment("AMQP_URL"), connectionName: "events")
        configuration.virtualHost = neff.virtualHost
        let connection = try await Connection.open(
            configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        var recipients: [String] = []
        let start = Date().addingTimeInterval(7 * 86_400)
        for number in 0..<Self.count {
            let address = "customer.\(number)@\(neff.mailDomain)"
            let event = ConsultationEvent(
                consultation: .make(), sequence: 1, kind: .residential,
                customer: Person(name: "Customer \(number)", email: address, phone: nil),
                visit: Visit(
                    startsAt: start, endsAt: start.addingTimeInterval(3_600), timeZone: "America/New_York"),
                address: "1 Orchard Hill Rd")
            let envelope = Envelope(
                id: "event-\(number)", type: .consultationBooked, timestamp: Date(),
                body: try WireJSON.encode(event))
            try await connection.publish(OutgoingMessage(exchange: .events, envelope: envelope).publication)
            recipients.append(address)
        }
        await connection.close()
        return recipients
    }
}
