import Domain
import Foundation
import Logging
import Messaging
import NotificationWorker
import Persistence
import Postgres
import TestSupport
import Testing
import Transport
import WorkerRuntime

/// A migrated database, a mail server that follows a script, and a folder for journals; workers are started on it.
struct Desk: Sendable {
    /// With all rights, to look at rows and to break them.
    let pool: PostgresPool
    /// What a worker gets: its role's rights, through a proxy that can be cut.
    let workerPool: PostgresPool
    let database: BrokerProxy
    let mail: ScriptedSMTPServer
    let folder: String

    static func open(
        script: @escaping @Sendable (ScriptedSMTPServer.Event) -> ScriptedSMTPServer.Action? = { _ in nil },
        _ body: nonisolated(nonsending) (Desk) async throws -> Void
    ) async throws {
        try await withScratchDatabase(migrations: try Schema.migrations()) { pool in
            let name = try await pool.query("select current_database()::text as name")[0].decode(
                "name", as: String.self)
            let server = try DatabaseServer().configuration
            let port = try await pool.query("select inet_server_port() as port")[0].decode("port", as: Int.self)
            let proxy = try BrokerProxy(to: port)
            let configuration = server.withDatabase(name).withParameter("host", "127.0.0.1")
                .withParameter("port", "\(proxy.port)").withParameter("sslmode", "disable")
                .withParameter("options", "-c role=neff_notification")
            let workerPool = PostgresPool(
                configuration: configuration, size: 4, acquireTimeout: .seconds(3),
                shutdownTimeout: .seconds(2), logger: .silent)
            let mail = try ScriptedSMTPServer(script)
            do {
                try await withFolder { folder in
                    try await body(
                        Desk(pool: pool, workerPool: workerPool, database: proxy, mail: mail, folder: folder))
                }
            } catch {
                await workerPool.shutDown()
                mail.stop()
                proxy.stop()
                throw error
            }
            await workerPool.shutDown()
            mail.stop()
            proxy.stop()
        }
    }

    /// One process.
    struct Process: Sendable {
        let handler: NotificationHandler
        let journal: SendJournal
        let smtp: SMTPClient
        let context: EffectContext
        let mailServer: Dependency

        /// As the runtime does.
        func handle(_ envelope: Envelope) async throws -> Outcome {
            if handler.hasOutsideEffect(envelope) { return try await handler.handle(envelope, in: context) }
            return try await context.pool.withTransaction { transaction in
                guard try await Inbox.insert(consumer: context.role, messageID: envelope.id, in: transaction) else {
                    return .ignored(reason: "planned before")
                }
                return try await handler.handle(
                    envelope,
                    in: HandlerContext(
                        transaction: transaction, now: context.now(), worker: context.worker, logger: context.logger))
            }
        }

        /// Handles until nothing asks for another try; what the database throws is run again, as the runtime does.
        func handleToTheEnd(_ envelope: Envelope) async throws {
            while true {
                do {
                    let outcome = try await handle(envelope)
                    if outcome.retryCode == nil, !outcome.isRelease { return }
                } catch let error as PostgresError where FailureCause(error) == .databaseAway {}
                try await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    func process(
        policy: NotificationHandler.AmbiguousMailPolicy = .resend, smtpURL: String? = nil,
        claimLifetime: Duration = .seconds(120), breaker: CircuitBreaker.Policy = .init(failuresToOpen: 1_000),
        folder: String? = nil
    ) throws -> Process {
        let mailServer = Dependency("smtp", policy: breaker, logger: .silent)
        let journal = try SendJournal(folder: folder ?? self.folder)
        let smtp = SMTPClient(
            configuration: try SMTPConfiguration(url: smtpURL ?? mail.url()), maxConnections: 2, logger: .silent)
        let handler = NotificationHandler(
            planner: NoticePlanner(officeEmail: "office@neff.example"), composer: try Sample.composer(), smtp: smtp,
            journal: journal, policy: policy, claimLifetime: claimLifetime, mailServer: mailServer)
        let context = EffectContext(
            pool: workerPool, now: { Sample.now }, role: "notification", worker: "notification@test:1", logger: .silent,
            isShuttingDown: { false })
        return Process(handler: handler, journal: journal, smtp: smtp, context: context, mailServer: mailServer)
    }

    // MARK: Messages

    /// Plans the notices of an event.
    ///
    /// - Returns: their `notification.send` messages, as the outbox has them.
    func plan(_ type: MessageType, _ body: some Encodable, by process: Process) async throws -> [Envelope] {
        let envelope = try Sample.envelope(type, body)
        _ = try await process.handle(envelope)
        return try await outbox().filter { $0.causationID == envelope.id }
    }

    /// Plans one confirmation to a customer.
    func planOne(to address: String = "ann@example.com", sequence: Int = 1, by process: Process) async throws
        -> Envelope
    {
        let event = try Sample.consultationEvent(sequence: sequence) { $0.customer.email = address }
        let messages = try await plan(
            sequence == 1 ? .consultationBooked : .consultationRescheduled, event, by: process)
        try #require(messages.count == 1)
        return messages[0]
    }

    func outbox() async throws -> [Envelope] {
        try await pool.query(
            """
            select message_id, type, exchange, routing_key, correlation_id, causation_id, received_at, body
            from outbox order by id
            """
        ).map { row in
            Envelope(
                id: try row.decode("message_id"), type: MessageType(rawValue: try row.decode("type")),
                correlationID: try row.decode("correlation_id", as: String.self),
                causationID: try row.decode("causation_id", as: String?.self), timestamp: Sample.now,
                receivedAt: try row.decode("received_at", as: Date.self), body: try row.decode("body"))
        }
    }

    // MARK: What is there

    struct Stored: Hashable {
        var id: NotificationID
        var status: String
        var mailID: String
        var attempts: Int
        var isAmbiguous: Bool
        var claimedBy: String?
        var reply: String?
        var errorCode: String?
        var error: String?
        var sentAt: Date?
    }

    func notifications() async throws -> [Stored] {
        try await pool.query(
            """
            select id, status, mail_id, attempts, ambiguous, claimed_by, reply, error_code, error, sent_at
            from notifications order by sequence, recipient
            """
        ).map { row in
            Stored(
                id: try #require(NotificationID(rawValue: try row.decode("id"))), status: try row.decode("status"),
                mailID: try row.decode("mail_id"), attempts: try row.decode("attempts"),
                isAmbiguous: try row.decode("ambiguous"), claimedBy: try row.decode("claimed_by", as: String?.self),
                reply: try row.decode("reply", as: String?.self),
                errorCode: try row.decode("error_code", as: String?.self),
                error: try row.decode("error", as: String?.self), sentAt: try row.decode("sent_at", as: Date?.self))
        }
    }

    func notification() async throws -> Stored {
        let all = try await notifications()
        try #require(all.count == 1)
        return all[0]
    }

    func isInInbox(_ envelope: Envelope) async throws -> Bool {
        try await !pool.query(
            "select 1 as found from inbox where consumer = 'notification' and message_id = \(envelope.id)"
        ).isEmpty
    }

    /// The mails that the server saw whole, whatever it answered.
    func mails() throws -> [MailReader] { try mail.messages.map(MailReader.init(smtp:)) }

    // MARK: Faults

    /// Claims a notification as a process does that is then killed.
    func claimAndDie(_ envelope: Envelope, _ write: (SendJournal, String) -> Void = { _, _ in }) async throws -> String
    {
        let journal = try SendJournal(folder: folder)
        let id = try await notification().id
        let result = try await pool.withTransaction { transaction in
            try await NotificationRepository.claim(id, by: journal.holder, retriesFailed: false, in: transaction)
        }
        guard case .claimed(let claim) = result else {
            Issue.record("not claimed: \(result)")
            return journal.holder
        }
        write(journal, claim.mailID)
        return journal.holder
    }

    func journalExists(_ holder: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(folder)/\(holder).journal")
    }
}

extension Outcome {
    /// The code of a retry; nil for other outcomes.
    var retryCode: String? { if case .retry(let code, _, _) = self { code } else { nil } }

    var isRelease: Bool { if case .release = self { true } else { false } }

    var deadLetterCode: String? { if case .deadLetter(let code, _) = self { code } else { nil } }
}

/// Something a script waits for on its own thread, and the test opens.
final class Gate: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    func open() { semaphore.signal() }
    func wait() { semaphore.wait() }
}
