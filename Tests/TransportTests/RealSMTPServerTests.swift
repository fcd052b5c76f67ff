import Foundation
import Testing
import Transport

/// Against the SMTP server of `scripts/services`: STARTTLS and AUTH required, every accepted message kept.
@Suite(.timeLimit(.minutes(1))) struct RealSMTPServerTests {
    private struct Stored: Decodable {
        let recipients: [String]
        let sender: String
        let messageID: String?
        let authenticated: Bool
        let data: String

        private enum CodingKeys: String, CodingKey {
            case authenticated, data
            case recipients = "rcpt_tos"
            case sender = "mail_from"
            case messageID = "message_id"
        }
    }

    private static func setting(_ name: String) throws -> String {
        try #require(
            ProcessInfo.processInfo.environment[name],
            "\(name) is not set: start the servers with `scripts/services up` and read `.local/env`")
    }

    private static func stored(_ messageID: String) throws -> [Stored] {
        let path = try setting("NEFF_SMTP_MAILBOX")
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        return try lines.map { try JSONDecoder().decode(Stored.self, from: Data($0.utf8)) }
            .filter { $0.messageID == "<\(messageID)>" }
    }

    private static func uniqueMail(to address: String = "pat@example.test") throws -> Mail {
        try Mail(
            from: Mailbox(name: "Neff Paving", address: "office@neff.test"),
            to: Mailbox(name: "Zoë Müller", address: address), subject: "Ihr Termin – größer ✓",
            messageID: "\(UUID().uuidString.lowercased())@neff.test", date: Date(), text: "Bis bald\n.\n..\n",
            html: "<p>Bis bald</p>",
            calendar: .init(method: .request, bytes: Array("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n".utf8)))
    }

    @Test(arguments: ["SMTP_URL", "SMTPS_URL"]) func anAcceptedMessageIsReadBackByteForByte(_ name: String) async throws
    {
        let client = try makeClient(Self.setting(name))
        let mail = try Self.uniqueMail()
        let receipt = try await client.send(mail)
        #expect(receipt.code == 250)
        let found = try Self.stored(mail.messageID)
        #expect(found.count == 1)
        #expect(found.first?.data == String(decoding: mail.rendered(), as: UTF8.self))
        #expect(found.first?.recipients == ["pat@example.test"] && found.first?.sender == "office@neff.test")
        #expect(found.first?.authenticated == true)
        await client.close()
    }

    @Test(arguments: ["SMTP_URL", "SMTPS_URL"]) func theCheckPasses(_ name: String) async throws {
        let client = try makeClient(Self.setting(name))
        try await client.check()
        await client.close()
    }

    @Test func aHundredMessagesOverThreeConnections() async throws {
        let client = try makeClient(Self.setting("SMTP_URL"), maxConnections: 3)
        let mails = try (0..<100).map { try Self.uniqueMail(to: "p\($0)@example.test") }
        let deliveries = await client.send(mails)
        #expect(deliveries.allSatisfy { (try? $0.result.get().code) == 250 })
        await client.close()
    }

    @Test(arguments: [
        ("busy-451@example.test", SMTPError.Class.transient(code: 451)),
        ("refused-550@example.test", .permanent(code: 550)), ("data-451@example.test", .transient(code: 451)),
        ("data-552@example.test", .permanent(code: 552)), ("lost@example.test", .ambiguous),
    ])
    func refusalsAreToldApart(_ address: String, _ expected: SMTPError.Class) async throws {
        let client = try makeClient(Self.setting("SMTP_URL"))
        let mail = try Self.uniqueMail(to: address)
        let error = await failure { () async throws(SMTPError) in try await client.send(mail) }
        #expect(error?.class == expected)
        await client.close()
    }

    /// A wrong name, an authority of strangers, a wrong password: no mail goes through.
    @Test(arguments: ["SMTP_URL", "SMTPS_URL"], ["name", "authority", "password"])
    func aSetUpThatIsNotRightSendsNothing(_ name: String, _ fault: String) async throws {
        let good = try Self.setting(name)
        let url: String =
            switch fault {
            case "name": good.replacing("@localhost:", with: "@127.0.0.2:")
            case "authority": String(good.prefix { $0 != "?" })
            default: good.replacing("@localhost:", with: "x@localhost:")
            }
        try #require(url != good, "\(name) should name localhost and a cafile")
        let client = try makeClient(url)
        let mail = try Self.uniqueMail()
        let error = await failure { () async throws(SMTPError) in try await client.send(mail) }
        guard case .configuration = error?.class else {
            Issue.record("expected a configuration error, found \(String(describing: error))")
            return
        }
        #expect(try Self.stored(mail.messageID).isEmpty)
        await client.close()
    }
}
