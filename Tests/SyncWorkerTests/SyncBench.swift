import Calendly
import Domain
import Foundation
import Logging
import Messaging
import Persistence
import Postgres
import SyncWorker
import TestSupport
import WorkerRuntime

/// The handler on a real database, one transaction for each message, with the rights that the worker has when it is
/// installed.
struct SyncBench: Sendable {
    let pool: PostgresPool
    let handler: SyncHandler
    var now = InviteeWebhook.instant(0)

    /// Runs a test on a database of its own.
    static func run(
        poolSize: Int = 4, configuration: SyncConfiguration = SyncConfiguration(),
        _ body: (SyncBench) async throws -> Void
    ) async throws {
        try await withScratchDatabase(migrations: Schema.migrations(), poolSize: poolSize) { pool in
            try await body(SyncBench(pool: pool, handler: SyncHandler(configuration: configuration)))
        }
    }

    /// The message that the ingress makes of a delivery.
    func envelope(_ body: [UInt8], _ mark: Envelope.SignatureMark = .valid, suffix: String = "") throws -> Envelope {
        let summary = try WebhookSummary.parse(body)
        return Envelope(
            id: MessageID.hex(MessageID.digest(summary.deduplicationParts + [mark.rawValue, suffix]).prefix(16)),
            type: .calendly(summary.event), timestamp: now, signature: mark, body: body)
    }

    /// Delivers a webhook; nil if the inbox knows the message already.
    ///
    /// - Parameter suffix: makes another message of the same delivery, so that the inbox does not stand in its way.
    @discardableResult
    func deliver(
        _ body: [UInt8], _ mark: Envelope.SignatureMark = .valid, suffix: String = ""
    ) async throws -> Outcome? {
        try await handle(envelope(body, mark, suffix: suffix))
    }

    /// - Parameter beforeCommit: runs when the handler is done, while its locks are still held.
    func handle(
        _ envelope: Envelope, beforeCommit: @Sendable () async throws -> Void = {}
    ) async throws -> Outcome? {
        struct RolledBack: Error { var outcome: Outcome }
        do {
            return try await pool.withTransaction { transaction in
                _ = try await transaction.query("set local role neff_sync")
                guard try await Inbox.insert(consumer: "sync", messageID: envelope.id, in: transaction) else {
                    return nil
                }
                let context = HandlerContext(
                    transaction: transaction, now: now, worker: "test", logger: .silent)
                let outcome = try await handler.handle(envelope, in: context)
                try await beforeCommit()
                switch outcome {
                case .done, .ignored: return outcome
                case .retry, .deadLetter, .release: throw RolledBack(outcome: outcome)
                }
            }
        } catch let rolledBack as RolledBack {
            return rolledBack.outcome
        }
    }

    /// Returns once a statement in this database waits for a lock. There is no signal for that, so it asks again and again.
    func untilSomebodyWaits() async throws {
        while try await column(
            "select pid::text from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        ).isEmpty {
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    // MARK: - What came of it

    /// What must not depend on the order of deliveries: all columns but those that count or date our own acts.
    func outcome() async throws -> [String] {
        let invitees = try await pool.query(
            """
            select (to_jsonb(i) - 'consultation_id' - 'created_at' - 'updated_at')::text as line
            from calendly_invitees i order by uri
            """)
        let consultations = try await pool.query(
            """
            select (to_jsonb(c) - 'id' - 'sequence' - 'version' - 'created_at' - 'updated_at' - 'announced_state'
                - 'announced_invitee' - 'announced_starts_at' - 'announced_ends_at')::text
                || (select string_agg(uri, ' ' order by uri) from calendly_invitees where consultation_id = c.id) as line
            from consultations c where merged_into is null order by current_invitee
            """)
        return try (Array(invitees) + Array(consultations)).map { try $0.decode("line") }
    }

    struct Sent {
        var type: MessageType
        var event: ConsultationEvent
    }

    /// The announcements in the outbox, in the order in which they were written.
    func announcements() async throws -> [Sent] {
        try await pool.query("select type, body from outbox where exchange = 'events' order by id").map { row in
            Sent(
                type: MessageType(rawValue: try row.decode("type")),
                event: try WireJSON.decode(ConsultationEvent.self, from: row.decode("body", as: [UInt8].self)))
        }
    }

    func count(_ table: String) async throws -> Int {
        let rows = try await pool.query("select count(*) as count from \(identifier: table)")
        return try rows[0].decode("count")
    }

    func column(_ sql: SQL) async throws -> [String] {
        try await pool.query(sql).map { try $0.decode(0, as: String?.self) ?? "null" }
    }
}
