import TestSupport
import Testing
import Transport

/// Time limits and cancellation: before the final dot nothing was sent, after it nobody knows.
@Suite(.timeLimit(.minutes(1))) struct SMTPCancellationTests {
    @Test(arguments: [ScriptedSMTPServer.Moment.greeting, .hello, .mailFrom, .recipient, .data])
    func silenceBeforeTheDotIsTransient(_ moment: ScriptedSMTPServer.Moment) async throws {
        let server = try ScriptedSMTPServer { event in event.moment == moment ? .silence : nil }
        defer { server.stop() }
        let client = try makeClient(server.url(options: "&timeout_ms=300"))
        let mail = try testMail()
        let error = await failure { () async throws(SMTPError) in try await client.send(mail) }
        #expect(error?.class == .transient(code: 0))
        await client.close()
    }

    @Test(arguments: [ScriptedSMTPServer.Action.silence, .pieces(["25"]), .pieces(["250-half\r\n", "25"])])
    func silenceAfterTheDotIsAmbiguous(_ action: ScriptedSMTPServer.Action) async throws {
        let server = try ScriptedSMTPServer { event in event.moment == .message ? action : nil }
        defer { server.stop() }
        let client = try makeClient(server.url(options: "&timeout_ms=300"))
        let mail = try testMail()
        let error = await failure { () async throws(SMTPError) in try await client.send(mail) }
        #expect(error?.class == .ambiguous && error?.stage == .message)
        await client.close()
    }

    @Test(arguments: [ScriptedSMTPServer.Moment.greeting, .authentication, .mailFrom, .recipient, .data])
    func cancellationBeforeTheDotIsCancelled(_ moment: ScriptedSMTPServer.Moment) async throws {
        let server = try ScriptedSMTPServer { event in event.moment == moment ? .silence : nil }
        defer { server.stop() }
        let client = try makeClient(server.url(authenticated: true))
        let mail = try testMail()
        let noted = NotedCheckpoints()
        let task = Task {
            await failure { () async throws(SMTPError) in try await client.send(mail, checkpoint: noted) }
        }
        await server.next(moment)
        task.cancel()
        #expect(await task.value?.class == .cancelled)
        #expect(noted.notes.isEmpty)
        await client.close()
    }

    @Test func cancellationAfterTheDotIsAmbiguous() async throws {
        let server = try ScriptedSMTPServer { event in event.moment == .message ? .silence : nil }
        defer { server.stop() }
        let client = try makeClient(server.url())
        let mail = try testMail()
        let task = Task { await failure { () async throws(SMTPError) in try await client.send(mail) } }
        await server.next(.message)
        task.cancel()
        #expect(await task.value?.class == .ambiguous)
        await client.close()
    }

    @Test func closingEndsAMessageThatWaitsForItsReply() async throws {
        let server = try ScriptedSMTPServer { event in event.moment == .message ? .silence : nil }
        defer { server.stop() }
        let client = try makeClient(server.url())
        let (mail, next) = (try testMail(), try testMail("2"))
        let task = Task { await failure { () async throws(SMTPError) in try await client.send(mail) } }
        await server.next(.message)
        let waiting = Task { await failure { () async throws(SMTPError) in try await client.send(next) } }
        await client.close()
        #expect(await task.value?.class == .ambiguous)
        #expect(await waiting.value?.class == .cancelled)
        let late = await failure { () async throws(SMTPError) in try await client.send(mail) }
        #expect(late?.class == .cancelled)
    }

    @Test func aCancelledWaiterLeavesTheLine() async throws {
        let server = try ScriptedSMTPServer { event in
            event.moment == .recipient && event.line.contains("<slow@") ? .silence : nil
        }
        defer { server.stop() }
        let client = try makeClient(server.url())
        let (slow, other, last) = (try testMail(to: "slow@example.test"), try testMail("2"), try testMail("3"))
        let first = Task { await failure { () async throws(SMTPError) in try await client.send(slow) } }
        await server.next(.recipient)
        let second = Task { await failure { () async throws(SMTPError) in try await client.send(other) } }
        second.cancel()
        #expect(await second.value?.class == .cancelled)
        first.cancel()
        #expect(await first.value?.class == .cancelled)
        #expect(try await client.send(last).code == 250)
        await client.close()
    }

    /// The reply to the dot is awaited inside one call of libcurl: it must not hold up another message.
    @Test func aSlowReplyDoesNotHoldUpAnotherMessage() async throws {
        let server = try ScriptedSMTPServer { event in
            event.moment == .message && event.connection == 0 ? .silence : nil
        }
        defer { server.stop() }
        let client = try makeClient(server.url(), maxConnections: 2)
        let (slow, quick) = (try testMail("slow"), try testMail("quick"))
        let first = Task { await failure { () async throws(SMTPError) in try await client.send(slow) } }
        await server.next(.message)
        #expect(try await client.send(quick).code == 250)
        first.cancel()
        #expect(await first.value?.class == .ambiguous)
        await client.close()
    }
}
