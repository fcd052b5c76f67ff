import Domain
import Foundation
import Logging
import Messaging
import Persistence
import Postgres
import SchedulingWorker
import Synchronization
import TestSupport
import Testing
import WorkerRuntime

/// A migrated database with people and machines in it, and a worker that handles messages as the runtime does: inbox row,
/// effect and outbox in one transaction.
struct Office: Sendable {
    let pool: PostgresPool
    var now: Date

    /// What had to be tried again, for tests that say it must not.
    let retries = Retries()

    /// Runs the worker with no more rights than it has in production.
    var role: String? = "neff_scheduling"

    static func open(
        now: String = "2027-03-01T12:00:00Z", poolSize: Int = 4,
        _ body: nonisolated(nonsending) (Office) async throws -> Void
    ) async throws {
        try await withScratchDatabase(migrations: try Schema.migrations(), poolSize: poolSize) { pool in
            try await body(Office(pool: pool, now: try instant(now)))
        }
    }

    /// What became of a message.
    enum Handled: Equatable {
        case outcome(Outcome)
        /// The inbox had it.
        case duplicate
    }

    /// Handles a message once; what may be retried is retried, as the runtime would.
    @discardableResult
    func handle(_ envelope: Envelope) async throws -> Handled {
        var attempts = 0
        while true {
            do {
                return try await attempt(envelope)
            } catch let error as PostgresError where error.isRetriable && attempts < 20 {
                attempts += 1
                retries.add(error)
            }
        }
    }

    private struct NotDone: Error {
        var outcome: Outcome
    }

    private func attempt(_ envelope: Envelope) async throws -> Handled {
        do {
            return try await pool.withTransaction { transaction in
                if let role { _ = try await transaction.query("set local role \(identifier: role)") }
                guard
                    try await Inbox.insert(consumer: "scheduling", messageID: envelope.id, in: transaction)
                else { return .duplicate }
                let context = HandlerContext(
                    transaction: transaction, now: now, worker: "test-1", logger: .silent)
                let clock = try #require(SiteClock(identifier: "America/New_York"))
                let outcome = try await SchedulingHandler(companyClock: clock).handle(envelope, in: context)
                switch outcome {
                case .done, .ignored: return .outcome(outcome)
                default: throw NotDone(outcome: outcome)
                }
            }
        } catch let notDone as NotDone {
            return .outcome(notDone.outcome)
        }
    }

    // MARK: What is there

    @discardableResult
    func add(
        _ kind: ResourceKind, _ name: String, email: String? = nil, calendlyUser: String? = nil, type: String? = nil,
        skills: [String] = []
    ) async throws -> ResourceID {
        let id = ResourceID.make()
        _ = try await pool.query(
            """
            insert into resources (id, kind, name, email, calendly_user, equipment_type, skills)
            values (\(id.rawValue), \(kind.rawValue), \(name), \(email), \(calendlyUser), \(type), \(skills)::text[])
            """)
        return id
    }

    /// What a residential job needs: the crew, a paver and a roller.
    @discardableResult
    func addCrewWithMachines(_ name: String) async throws -> ResourceID {
        try await add(.equipment, "Paver of \(name)", type: "paver")
        try await add(.equipment, "Roller of \(name)", type: "roller")
        return try await add(.crew, name, email: "\(name.split(separator: " ").last ?? "x")@example.com".lowercased())
    }

    /// Takes a resource by plain SQL, as any other writer might.
    func occupy(_ resource: ResourceID, _ from: String, _ to: String) async throws {
        _ = try await pool.query(
            """
            insert into allocations (resource_id, during, subject_kind, subject_id)
            values (\(resource.rawValue), tstzrange(\(try instant(from)), \(try instant(to))), 'job', 'elsewhere')
            """)
    }

    func allocations() async throws -> [Taken] {
        try await pool.query(
            """
            select r.name, lower(a.during) as starts_at, upper(a.during) as ends_at, a.subject_id
            from allocations a join resources r on r.id = a.resource_id
            where a.active and a.subject_id <> 'elsewhere' order by r.name, a.during
            """
        ).map {
            Taken(
                resource: try $0.decode("name"), from: try $0.decode("starts_at"), to: try $0.decode("ends_at"),
                subject: try $0.decode("subject_id"))
        }
    }

    struct Taken: Hashable {
        var resource: String
        var from: Date
        var to: Date
        var subject: String
    }

    func count(_ sql: SQL) async throws -> Int {
        try #require(await pool.query(sql).first).decode(0, as: Int.self)
    }

    /// Pairs of active allocations that overlap: zero, or the whole promise is broken.
    func overlaps() async throws -> Int {
        try await count(
            """
            select count(*) from allocations a join allocations b
                on a.id < b.id and a.resource_id = b.resource_id and a.during && b.during
            where a.active and b.active
            """)
    }

    /// The events in the outbox, in order.
    func published<Body: Decodable>(_ type: MessageType, as body: Body.Type) async throws -> [Body] {
        try await pool.query("select body from outbox where type = \(type.rawValue) order by id").map {
            try WireJSON.decode(Body.self, from: $0.decode("body", as: [UInt8].self))
        }
    }

    func publishedTypes() async throws -> [String] {
        try await pool.query("select type from outbox order by id").map { try $0.decode("type", as: String.self) }
    }
}

/// Counts errors after which a message was handled again.
final class Retries: Sendable {
    private let states = Mutex<[SQLState?]>([])

    func add(_ error: PostgresError) {
        states.withLock { $0.append(error.sqlState) }
    }

    func count(_ state: SQLState) -> Int {
        states.withLock { all in all.count { $0 == state } }
    }
}

func instant(_ text: String) throws -> Date {
    try Date(text, strategy: .iso8601)
}
