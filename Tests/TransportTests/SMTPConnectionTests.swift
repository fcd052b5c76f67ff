import Synchronization
import TestSupport
import Testing
import Transport

/// What becomes of the connections that are kept.
@Suite(.timeLimit(.minutes(1))) struct SMTPConnectionTests {
    @Test func severalMessagesShareAConnectionAndEachRecipientHasItsResult() async throws {
        let server = try ScriptedSMTPServer { event in
            event.line.contains("<gone@") ? .reply("550 5.1.1 no such user") : nil
        }
        defer { server.stop() }
        let client = try makeClient(server.url(), maxConnections: 2)
        let mails = try (0..<20).map {
            try testMail("\($0)", to: $0 == 7 ? "gone@example.test" : "p\($0)@example.test")
        }
        let deliveries = await client.send(mails)
        #expect(deliveries.map(\.messageID) == mails.map(\.messageID))
        for (index, delivery) in deliveries.enumerated() {
            switch delivery.result {
            case .success: #expect(index != 7)
            case .failure(let error): #expect(index == 7 && error.class == .permanent(code: 550))
            }
        }
        // Two connections, and another after the one that libcurl drops with the refusal.
        #expect(server.connectionCount <= 3)
        await client.close()
    }

    /// The server drops an idle connection, or says 421 on it, as servers do after some minutes.
    @Test(arguments: [ScriptedSMTPServer.Action.close, .reset, .replyAndClose("421 4.4.2 idle too long")])
    func aDeadKeptConnectionIsReplacedUnseen(_ farewell: ScriptedSMTPServer.Action) async throws {
        let mails = Mutex(0)
        let server = try ScriptedSMTPServer { event in
            guard event.moment == .mailFrom else { return nil }
            let count = mails.withLock { mails in
                mails += 1
                return mails
            }
            return count == 2 ? farewell : nil
        }
        defer { server.stop() }
        let client = try makeClient(server.url())
        #expect(try await client.send(testMail("1")).code == 250)
        #expect(try await client.send(testMail("2")).code == 250)
        #expect(server.connectionCount == 2 && server.messages.count == 2)
        await client.close()
    }

    /// The server has read no complete message, so it has none: not ambiguous, although it said 354.
    @Test func aConnectionLostWithinTheMessageIsTransient() async throws {
        let server = try ScriptedSMTPServer { event in event.moment == .data ? .replyAndReset("354 go ahead") : nil }
        defer { server.stop() }
        let client = try makeClient(server.url())
        let mail = try testMail(text: String(repeating: "One line of a long message.\n", count: 400_000))
        let noted = NotedCheckpoints()
        let error = await failure { () async throws(SMTPError) in try await client.send(mail, checkpoint: noted) }
        #expect(error?.class == .transient(code: 0) && error?.stage == .data)
        #expect(noted.notes.isEmpty)
        await client.close()
    }

    /// After the dot nothing is repeated, kept connection or not.
    @Test func aLostReplyIsNotRepeated() async throws {
        let server = try ScriptedSMTPServer { event in
            event.moment == .message && event.connection == 0 ? .close : nil
        }
        defer { server.stop() }
        let client = try makeClient(server.url())
        let mail = try testMail()
        let error = await failure { () async throws(SMTPError) in try await client.send(mail) }
        #expect(error?.class == .ambiguous)
        #expect(server.messages.count == 1)
        await client.close()
    }

    /// libcurl says QUIT after a refusal and would wait for the answer as long as for any reply.
    @Test func aRefusalIsNotHeldUpByASilentGoodbye() async throws {
        let server = try ScriptedSMTPServer { event in
            switch event.moment {
            case .recipient: .reply("550 5.1.1 no such user")
            case .quit: .silence
            default: nil
            }
        }
        defer { server.stop() }
        let client = try makeClient(server.url(options: "&timeout_ms=3600000&reply_timeout_ms=3600000"))
        let mail = try testMail()
        let error = await failure { () async throws(SMTPError) in try await client.send(mail) }
        #expect(error?.class == .permanent(code: 550) && error?.enhancedCode == EnhancedStatusCode(5, 1, 1))
        await client.close()
    }

    @Test func closingSaysGoodbyeWithoutWaitingForTheAnswer() async throws {
        let server = try ScriptedSMTPServer { event in event.moment == .quit ? .silence : nil }
        defer { server.stop() }
        let client = try makeClient(server.url())
        _ = try await client.send(testMail())
        await client.close()
        await server.next(.quit)
        #expect(server.events.last?.moment == .quit)
    }
}
