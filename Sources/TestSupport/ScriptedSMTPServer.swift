import Synchronization

/// An SMTP server in clear text on loopback that says what a test tells it to.
package final class ScriptedSMTPServer: Sendable {
    /// A point of the dialogue where the script is asked what to do.
    package enum Moment: String, Sendable, Hashable {
        case greeting, hello, startTLS, authentication, mailFrom, recipient, data, message, quit, other
    }

    /// What to do at a moment.
    package enum Action: Sendable {
        /// Answers; lines of a longer reply are separated by CRLF.
        case reply(String)
        /// Answers, then closes.
        case replyAndClose(String)
        /// Answers, then closes with a reset.
        case replyAndReset(String)
        /// Answers in pieces, each sent by itself.
        case pieces([String])
        /// Closes in order.
        case close
        /// Closes with a reset.
        case reset
        /// Says nothing until the client leaves.
        case silence
    }

    /// What came in, in order.
    package struct Event: Sendable, Equatable {
        /// The connection's number, from 0.
        package let connection: Int
        /// The moment.
        package let moment: Moment
        /// The command line; empty for a greeting, and for a message.
        package let line: String
    }

    private struct State {
        var events: [Event] = []
        var messages: [[String]] = []
    }

    private final class Log: Sendable {
        let state = Mutex(State())
        let stream: AsyncStream<Event>
        let continuation: AsyncStream<Event>.Continuation
        let ends: AsyncStream<Int>
        let endContinuation: AsyncStream<Int>.Continuation

        init() {
            (stream, continuation) = AsyncStream.makeStream()
            (ends, endContinuation) = AsyncStream.makeStream()
        }

        func note(_ event: Event) {
            state.withLock { $0.events.append(event) }
            continuation.yield(event)
        }
    }

    private let server: ScriptedServer
    private let log: Log

    /// What a friendly server without TLS answers.
    package static func friendly(_ moment: Moment) -> Action {
        switch moment {
        case .greeting: .reply("220 scripted.test ESMTP")
        case .hello: .reply("250-scripted.test\r\n250-AUTH PLAIN LOGIN\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 10000000")
        case .startTLS: .reply("454 4.7.0 TLS not available")
        case .authentication: .reply("235 2.7.0 welcome")
        case .mailFrom: .reply("250 2.1.0 OK")
        case .recipient: .reply("250 2.1.5 OK")
        case .data: .reply("354 go ahead")
        case .message: .reply("250 2.0.0 queued as 1")
        case .quit: .replyAndClose("221 2.0.0 bye")
        case .other: .reply("250 2.0.0 OK")
        }
    }

    /// Starts a server.
    ///
    /// - Parameter script: gives an action for an event, or nil for the friendly one.
    package init(_ script: @escaping @Sendable (Event) -> Action? = { _ in nil }) throws {
        let log = Log()
        self.log = log
        server = try ScriptedServer { connection in
            Dialogue(
                connection: connection, note: { log.note($0) },
                keep: { message in
                    log.state.withLock { $0.messages.append(message) }
                }, script: script
            ).run()
            log.endContinuation.yield(connection.number)
        }
    }

    /// The URL for clear text, with credentials if asked for.
    package func url(authenticated: Bool = false, options: String = "") -> String {
        "smtp://\(authenticated ? "user:secret@" : "")127.0.0.1:\(server.port)/client.test?starttls=none\(options)"
    }

    /// The same address, but STARTTLS is required.
    package var urlRequiringTLS: String { "smtp://user:secret@127.0.0.1:\(server.port)" }

    /// The port on 127.0.0.1.
    package var port: Int { server.port }
    /// What came so far.
    package var events: [Event] { log.state.withLock { $0.events } }
    /// The accepted messages and those that were not answered with 250, as lines with dot-stuffing kept.
    package var messages: [[String]] { log.state.withLock { $0.messages } }
    /// How many connections came.
    package var connectionCount: Int { server.connectionCount }

    /// Waits for the next event of this kind; one waiter at a time.
    package func next(_ moment: Moment) async {
        for await event in log.stream where event.moment == moment { return }
    }

    /// Waits until the dialogue on the next connection to end is over, all of what the client had sent read; one waiter at a
    /// time.
    package func nextEnd() async {
        for await _ in log.ends { return }
    }

    /// Stops the server and cuts its connections.
    package func stop() { server.stop() }

    private struct Dialogue {
        let connection: ScriptedConnection
        let note: @Sendable (Event) -> Void
        let keep: @Sendable ([String]) -> Void
        let script: @Sendable (Event) -> Action?

        func run() {
            guard perform(.greeting, "") != nil else { return }
            while let line = connection.readLine() {
                let moment = Self.moment(line)
                guard let reply = perform(moment, line) else { return }
                if moment == .data, reply.hasPrefix("354"), !receiveMessage() { return }
            }
        }

        private func receiveMessage() -> Bool {
            var lines: [String] = []
            while let line = connection.readLine() {
                if line == "." {
                    keep(lines)
                    return perform(.message, "") != nil
                }
                lines.append(line)
            }
            return false
        }

        /// The reply that was sent; nil once the connection is over.
        private func perform(_ moment: Moment, _ line: String) -> String? {
            let event = Event(connection: connection.number, moment: moment, line: line)
            note(event)
            switch script(event) ?? ScriptedSMTPServer.friendly(moment) {
            case .reply(let text):
                return connection.write(text + "\r\n") ? text : nil
            case .replyAndClose(let text):
                connection.write(text + "\r\n")
                connection.close()
            case .replyAndReset(let text):
                connection.write(text + "\r\n")
                connection.reset()
            case .pieces(let pieces):
                for piece in pieces where !connection.write(piece) { return nil }
                return pieces.joined()
            case .close:
                connection.close()
            case .reset:
                connection.reset()
            case .silence:
                connection.waitForPeer()
            }
            return nil
        }

        private static func moment(_ line: String) -> Moment {
            let verb = line.prefix { $0 != " " && $0 != ":" }.uppercased()
            switch verb {
            case "EHLO", "HELO": return .hello
            case "STARTTLS": return .startTLS
            case "AUTH": return .authentication
            case "MAIL": return .mailFrom
            case "RCPT": return .recipient
            case "DATA": return .data
            case "QUIT": return .quit
            default: return .other
            }
        }
    }
}
