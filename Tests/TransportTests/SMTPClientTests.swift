import TestSupport
import Testing
import Transport

@Suite(.timeLimit(.minutes(1))) struct SMTPClientTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let moment: ScriptedSMTPServer.Moment
        let action: ScriptedSMTPServer.Action
        let expected: SMTPError.Class
        let reply: Int
        let handedOver: Bool

        init(
            _ moment: ScriptedSMTPServer.Moment, _ action: ScriptedSMTPServer.Action, _ expected: SMTPError.Class,
            reply: Int = 0, handedOver: Bool = false
        ) {
            (self.moment, self.action, self.expected) = (moment, action, expected)
            (self.reply, self.handedOver) = (reply, handedOver)
        }

        var testDescription: String { "\(moment) \(action)" }
    }

    /// Every row of what servers do, against the real library.
    static let table: [Row] = [
        Row(.greeting, .replyAndClose("421 4.3.2 shutting down"), .transient(code: 421), reply: 421),
        Row(.greeting, .replyAndClose("554 5.3.2 no mail here"), .configuration(code: 554), reply: 554),
        Row(.greeting, .close, .transient(code: 0)),
        Row(.greeting, .reset, .transient(code: 0)),
        Row(.hello, .close, .transient(code: 0)),
        Row(.authentication, .reply("535 5.7.8 bad credentials"), .configuration(code: 535), reply: 535),
        Row(.authentication, .reply("454 4.7.0 try later"), .transient(code: 454), reply: 454),
        Row(.mailFrom, .reply("451 4.3.0 busy"), .transient(code: 451), reply: 451),
        Row(.mailFrom, .reply("552 5.3.4 too big"), .permanent(code: 552), reply: 552),
        Row(.mailFrom, .reply("530 5.7.0 authenticate first"), .configuration(code: 530), reply: 530),
        Row(.mailFrom, .close, .transient(code: 0)),
        Row(.recipient, .reply("450 4.2.0 greylisted"), .transient(code: 450), reply: 450),
        Row(.recipient, .reply("550-5.1.1 first line\r\n550 5.1.1 no such user"), .permanent(code: 550), reply: 550),
        Row(.recipient, .reply("421 4.3.2 shutting down"), .transient(code: 421), reply: 421),
        Row(.recipient, .reset, .transient(code: 0)),
        Row(.data, .reply("452 4.3.1 disk full"), .transient(code: 452), reply: 452),
        Row(.data, .reply("554 5.6.0 no"), .permanent(code: 554), reply: 554),
        Row(.message, .reply("451 4.3.0 later"), .transient(code: 451), reply: 451, handedOver: true),
        Row(.message, .reply("554 5.7.1 spam"), .permanent(code: 554), reply: 554, handedOver: true),
        Row(.message, .close, .ambiguous, handedOver: true),
        Row(.message, .reset, .ambiguous, handedOver: true),
    ]

    @Test(arguments: table) func whatTheServerDoesDecides(_ row: Row) async throws {
        let server = try ScriptedSMTPServer { event in event.moment == row.moment ? row.action : nil }
        defer { server.stop() }
        let client = try makeClient(server.url(authenticated: true, options: "&timeout_ms=20000"))
        let noted = NotedCheckpoints()
        let mail = try testMail()
        let error = await failure { () async throws(SMTPError) in try await client.send(mail, checkpoint: noted) }
        #expect(error?.class == row.expected)
        #expect(error?.replyCode == row.reply)
        #expect(noted.notes == (row.handedOver ? ["will 1@neff.test"] : []))
        await client.close()
    }

    @Test func anAcceptedMessageArrivesAsRenderedAndGivesItsReply() async throws {
        let server = try ScriptedSMTPServer()
        defer { server.stop() }
        let client = try makeClient(server.url())
        let noted = NotedCheckpoints()
        let mail = try testMail(text: ".\n..\nFrom\n.x")
        let receipt = try await client.send(mail, checkpoint: noted)
        #expect(receipt == SMTPReceipt(reply: "250 2.0.0 queued as 1", code: 250))
        #expect(noted.notes == ["will 1@neff.test", "did 1@neff.test 250"])
        let lines = try #require(server.messages.first)
        #expect(lines.joined(separator: "\r\n") + "\r\n" == String(decoding: mail.rendered(), as: UTF8.self))
        let size = "SIZE=\(mail.rendered().count)"
        #expect(server.events.contains { $0.line == "MAIL FROM:<office@neff.test> \(size)" })
        #expect(server.events.contains { $0.line == "EHLO client.test" })
        await client.close()
    }

    /// A server without STARTTLS, or with a refused one, sees no mail and no password, whatever follows.
    @Test(arguments: [
        ScriptedSMTPServer.Action.reply("250-scripted.test\r\n250 AUTH PLAIN LOGIN"),
        .reply("250-scripted.test\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN"), .reply("502 5.5.1 what"),
    ])
    func withoutTLSNothingIsSaidInClearText(_ hello: ScriptedSMTPServer.Action) async throws {
        let server = try ScriptedSMTPServer { event in event.moment == .hello ? hello : nil }
        defer { server.stop() }
        let client = try makeClient(server.urlRequiringTLS)
        let mail = try testMail()
        let error = await failure { () async throws(SMTPError) in try await client.send(mail) }
        let kind = try #require(error).class
        #expect(kind != .ambiguous && kind != .cancelled)
        let moments = Set(server.events.map(\.moment))
        #expect(moments.isSubset(of: [.greeting, .hello, .startTLS, .quit]))
        await client.close()
    }

    @Test func aMissingStartTLSIsAConfigurationError() async throws {
        let server = try ScriptedSMTPServer()
        defer { server.stop() }
        let client = try makeClient(server.urlRequiringTLS)
        let mail = try testMail()
        let error = await failure { () async throws(SMTPError) in try await client.send(mail) }
        #expect(error?.class == .configuration(code: 250) && error?.stage == .hello)
        await client.close()
    }

    @Test func nothingListening() async throws {
        let port = try ScriptedServer.closedPort()
        let client = try makeClient("smtp://127.0.0.1:\(port)?starttls=none")
        let mail = try testMail()
        let error = await failure { () async throws(SMTPError) in try await client.send(mail) }
        #expect(error?.class == .transient(code: 0) && error?.stage == .connect)
        await client.close()
    }

    @Test func aServerThatSpeaksSomethingElseIsTransient() async throws {
        let server = try ScriptedSMTPServer { event in
            event.moment == .greeting ? .reply("SSH-2.0-OpenSSH_9.2") : nil
        }
        defer { server.stop() }
        let client = try makeClient(server.url(options: "&timeout_ms=300"))
        let mail = try testMail()
        let error = await failure { () async throws(SMTPError) in try await client.send(mail) }
        #expect(error?.class == .transient(code: 0) && error?.stage == .connect)
        await client.close()
    }

    @Test func aCheckAuthenticatesAndSendsNothing() async throws {
        let server = try ScriptedSMTPServer()
        defer { server.stop() }
        let client = try makeClient(server.url(authenticated: true))
        try await client.check()
        let moments = server.events.map(\.moment)
        #expect(moments.contains(.authentication) && !moments.contains(.mailFrom))
        #expect(server.events.contains { $0.line == "NOOP" })
        await client.close()
    }

    @Test func aCheckIsNoSuccessIfTheServerWantsNobodyToLogIn() async throws {
        let server = try ScriptedSMTPServer { event in
            event.moment == .hello ? .reply("250-scripted.test\r\n250 ENHANCEDSTATUSCODES") : nil
        }
        defer { server.stop() }
        let client = try makeClient(server.url(authenticated: true))
        let error = await #expect(throws: SMTPError.self) { try await client.check() }
        #expect(error?.class == .configuration(code: 0) && error?.stage == .authentication)
        await client.close()
        // Without a user there is nothing to try.
        let anonymous = try makeClient(server.url())
        try await anonymous.check()
        await anonymous.close()
    }

    @Test func theServersWordsSteerNoTerminalAndBreakNoText() async throws {
        let server = try ScriptedSMTPServer { event in
            switch event.moment {
            case .recipient where event.line.contains("pat@"):
                .reply("550-5.1.1 \u{1B}[2Jno\u{0} such\u{9B}31m\r\n550 5.1.1 \u{7}user\u{202E}")
            case .message: .reply("250 2.0.0 \u{1B}]0;owned\u{7}queued")
            default: nil
            }
        }
        defer { server.stop() }
        let client = try makeClient(server.url())
        let mail = try testMail()
        let error = await failure { () async throws(SMTPError) in try await client.send(mail) }
        #expect(error?.class == .permanent(code: 550) && error?.enhancedCode == EnhancedStatusCode(5, 1, 1))
        #expect(error?.replyText == "5.1.1 [2Jno such 31m 5.1.1 user")
        #expect(try await client.send(testMail("2", to: "kim@example.test")).reply == "250 2.0.0 ]0;owned queued")
        await client.close()
    }

    @Test func aCheckTellsBadCredentials() async throws {
        let server = try ScriptedSMTPServer { event in
            event.moment == .authentication ? .reply("535 5.7.8 bad credentials") : nil
        }
        defer { server.stop() }
        let client = try makeClient(server.url(authenticated: true))
        let error = await #expect(throws: SMTPError.self) { try await client.check() }
        #expect(error?.class == .configuration(code: 535) && error?.enhancedCode == EnhancedStatusCode(5, 7, 8))
        #expect(error?.description.contains("secret") == false)
        await client.close()
    }

    @Test func replyLinesThatTrickleInAreOneReply() async throws {
        let server = try ScriptedSMTPServer { event in
            event.moment == .message ? .pieces(["2", "50-2.0.0 qu", "eued\r\n", "250 2.0.0 as", " 7\r", "\n"]) : nil
        }
        defer { server.stop() }
        let client = try makeClient(server.url())
        #expect(try await client.send(testMail()).reply == "250 2.0.0 queued 2.0.0 as 7")
        await client.close()
    }

    /// Larger than any buffer on the way, so that it leaves in many pieces.
    @Test func aLargeMessageArrivesWhole() async throws {
        let server = try ScriptedSMTPServer()
        defer { server.stop() }
        let client = try makeClient(server.url())
        let mail = try testMail(text: String(repeating: "One line of a long message.\n.dots\n", count: 60_000))
        let noted = NotedCheckpoints()
        #expect(try await client.send(mail, checkpoint: noted).code == 250)
        #expect(noted.notes == ["will 1@neff.test", "did 1@neff.test 250"])
        let lines = try #require(server.messages.first)
        #expect(lines.joined(separator: "\r\n") + "\r\n" == String(decoding: mail.rendered(), as: UTF8.self))
        await client.close()
    }
}
