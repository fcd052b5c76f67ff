import Dispatch
import Synchronization
import TestSupport
import Testing
import Transport

/// What a failed message leaves behind must not reach the next one.
@Suite(.timeLimit(.minutes(1))) struct SMTPRefusalTests {
    private static let moments: [ScriptedSMTPServer.Moment] = [.mailFrom, .recipient, .data, .message]
    private static let replies = ["451 4.3.0 later", "554 5.6.0 no"]

    /// A server that refuses the first message and keeps its transaction: on that connection every MAIL is one too many.
    private static func unforgetting(
        _ moment: ScriptedSMTPServer.Moment, _ refusal: ScriptedSMTPServer.Action
    ) throws -> ScriptedSMTPServer {
        let spoiled = Mutex<Int?>(nil)
        return try ScriptedSMTPServer { event in
            spoiled.withLock { spoiled in
                if spoiled == event.connection, event.moment == .mailFrom { return .reply("503 5.5.1 nested MAIL") }
                guard spoiled == nil, event.moment == moment else { return nil }
                spoiled = event.connection
                return refusal
            }
        }
    }

    @Test(arguments: moments, replies)
    func aRefusalIsNotAnsweredToTheNextMessage(
        _ moment: ScriptedSMTPServer.Moment, _ reply: String
    ) async throws {
        let server = try Self.unforgetting(moment, .reply(reply))
        defer { server.stop() }
        let client = try makeClient(server.url())
        let (first, second) = (try testMail("1"), try testMail("2"))
        let error = await failure { () async throws(SMTPError) in try await client.send(first) }
        #expect(error?.replyCode == Int(reply.prefix(3)))
        #expect(try await client.send(second).code == 250)
        #expect(server.connectionCount == 2)
        await client.close()
    }

    /// The reply would come late, and be taken for the answer to the next message's MAIL.
    @Test func aConnectionThatOwesAReplyIsNotKept() async throws {
        let server = try Self.unforgetting(.message, .pieces(["250-half\r\n"]))
        defer { server.stop() }
        let client = try makeClient(server.url(options: "&timeout_ms=300"))
        let mail = try testMail("1")
        let error = await failure { () async throws(SMTPError) in try await client.send(mail) }
        #expect(error?.class == .ambiguous)
        #expect(try await client.send(testMail("2")).code == 250)
        #expect(server.connectionCount == 2)
        await client.close()
    }

    /// libcurl ends every upload with the dot, one that is taken away from it too: the server would accept a message that
    /// was cancelled, cut off where the upload had come to. Before the first line that is an empty one.
    @Test func aCancelledMessageIsNotEndedWithADot() async throws {
        let gate = DispatchSemaphore(value: 0)
        let server = try ScriptedSMTPServer { event in
            guard event.moment == .data else { return nil }
            gate.wait()
            return nil
        }
        defer { server.stop() }
        let client = try makeClient(server.url())
        let mail = try testMail()
        let task = Task { await failure { () async throws(SMTPError) in try await client.send(mail) } }
        await server.next(.data)
        task.cancel()
        #expect(await task.value?.class == .cancelled)
        gate.signal()
        await server.nextEnd()
        #expect(server.messages.isEmpty)
        await client.close()
    }

    @Test func aMessageCutOffByClosingIsNotEndedWithADot() async throws {
        let gate = DispatchSemaphore(value: 0)
        let server = try ScriptedSMTPServer { event in
            guard event.moment == .data else { return nil }
            gate.wait()
            return nil
        }
        defer { server.stop() }
        let client = try makeClient(server.url())
        let mail = try testMail()
        let task = Task { await failure { () async throws(SMTPError) in try await client.send(mail) } }
        await server.next(.data)
        await client.close()
        #expect(await task.value?.class == .cancelled)
        gate.signal()
        await server.nextEnd()
        #expect(server.messages.isEmpty)
    }
}
