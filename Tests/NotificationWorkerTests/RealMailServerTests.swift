import Foundation
import Messaging
import NotificationWorker
import Postgres
import TestSupport
import Testing
import Transport
import WorkerRuntime

/// Against the SMTP server of `scripts/services`: STARTTLS and AUTH required, every accepted message kept.
@Suite(.timeLimit(.minutes(2))) struct RealMailServerTests {
    private struct Stored: Decodable {
        let messageID: String?
        let data: String

        private enum CodingKeys: String, CodingKey {
            case data
            case messageID = "message_id"
        }
    }

    private static func setting(_ name: String) throws -> String {
        try #require(
            ProcessInfo.processInfo.environment[name],
            "\(name) is not set: start the servers with `scripts/services up` and read `.local/env`")
    }

    private static func mails(_ mailID: String) throws -> [MailReader] {
        let lines = try String(contentsOfFile: setting("NEFF_SMTP_MAILBOX"), encoding: .utf8).split(separator: "\n")
        return try lines.map { try JSONDecoder().decode(Stored.self, from: Data($0.utf8)) }
            .filter { $0.messageID == "<\(mailID)>" }.map { try MailReader(Array($0.data.utf8)) }
    }

    /// Unlike a name, an address decides how the server behaves and the Message-ID; so both have to be new each time.
    private static func address(_ behaviour: String) -> String {
        "\(behaviour)@\(UUID().uuidString.lowercased()).example"
    }

    @Test func aConfirmationArrivesWhole() async throws {
        try await Desk.open { desk in
            let process = try desk.process(smtpURL: Self.setting("SMTP_URL"))
            let message = try await desk.planOne(to: Self.address("zoe"), by: process)
            #expect(try await process.handle(message) == .done)
            let row = try await desk.notification()
            #expect(row.status == "sent" && row.reply?.contains("stored") == true)
            let mails = try Self.mails(row.mailID)
            #expect(mails.count == 1)
            #expect(try mails[0].header("Subject") == "Your residential consultation on March 16, 2027")
            #expect(try mails[0].header("Auto-Submitted") == "auto-generated")
            #expect(try mails[0].part("text/html").text.contains("Hello Ann Example,"))
            #expect(try CalendarReader(mails[0].part("text/calendar").content).text("METHOD") == "REQUEST")
            await process.smtp.close()
        }
    }

    @Test func aBusyMailboxIsTriedAgain() async throws {
        try await Desk.open { desk in
            let process = try desk.process(smtpURL: Self.setting("SMTP_URL"))
            let message = try await desk.planOne(to: Self.address("once-451"), by: process)
            #expect(try await process.handle(message).retryCode == "smtp.451")
            #expect(try await process.handle(message) == .done)
            #expect(try Self.mails(try await desk.notification().mailID).count == 1)
            await process.smtp.close()
        }
    }

    @Test(arguments: ["refused-550", "data-552"])
    func aRefusedMailIsADeadLetter(_ behaviour: String) async throws {
        try await Desk.open { desk in
            let process = try desk.process(smtpURL: Self.setting("SMTP_URL"))
            let message = try await desk.planOne(to: Self.address(behaviour), by: process)
            #expect(try await process.handle(message).deadLetterCode == "smtp.\(behaviour.suffix(3))")
            let row = try await desk.notification()
            #expect(row.status == "failed" && row.error?.contains("scripted permanent failure") == true)
            await process.smtp.close()
        }
    }

    /// The server took it and could not say so: the repeat is the same mail to every program that compares Message-IDs.
    @Test func aMailWhoseAnswerIsLostComesTwiceUnderOneMessageID() async throws {
        try await Desk.open { desk in
            let process = try desk.process(smtpURL: Self.setting("SMTP_URL"))
            let message = try await desk.planOne(to: Self.address("lost-once"), by: process)
            #expect(try await process.handle(message).retryCode == "smtp.ambiguous")
            #expect(try await process.handle(message) == .done)
            let mails = try Self.mails(try await desk.notification().mailID)
            #expect(mails.map { $0.root.header("X-Neff-Repeat") } == [nil, "possible"])
            await process.smtp.close()
        }
    }

    @Test func aWrongPasswordLosesNothing() async throws {
        try await Desk.open { desk in
            let url = try Self.setting("SMTP_URL").replacing("@localhost:", with: "x@localhost:")
            let process = try desk.process(smtpURL: url)
            let message = try await desk.planOne(to: Self.address("zoe"), by: process)
            #expect(try await process.handle(message).isRelease)
            let row = try await desk.notification()
            #expect(row.status == "planned" && row.errorCode == "smtp.configuration")
            #expect(try Self.mails(row.mailID).isEmpty)
            await process.smtp.close()
        }
    }
}
