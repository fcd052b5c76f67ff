import AMQP
import Calendly
import Crypto
import Domain
import Foundation
import Ingress
import Messaging
import Persistence
import Postgres
import Synchronization

/// Not Foundation's.
typealias Operation = Persistence.Operation

/// A clock that stands still until it is set.
final class FakeClock: Sendable {
    private let instant = Mutex(Date(timeIntervalSince1970: 1_804_690_000))

    var now: Date {
        get { instant.withLock { $0 } }
        set { instant.withLock { $0 = newValue } }
    }
}

enum Signing {
    static func header(_ body: [UInt8], key: String = Harness.signingKey, at instant: Date) -> String {
        WebhookSignature.sign(body: body, key: key, at: Int64(instant.timeIntervalSince1970))
    }
}

/// A broker that confirms, or fails as told.
final class FakeBroker: Sendable {
    private struct State {
        var messages: [OutgoingMessage] = []
        var failure: PublishError.Kind?
        var isReady = true
        var isHolding = false
        var held: [CheckedContinuation<Void, Never>] = []
        var onPublish: (@Sendable (OutgoingMessage) async -> Void)?
        var noted: [OutgoingMessage] = []
    }

    private let state = Mutex(State())
    private let changes = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    /// Waits until something is so; for one caller at a time. Ends early when the test is cancelled.
    func wait(until isSo: @Sendable (FakeBroker) -> Bool) async {
        if isSo(self) { return }
        for await _ in changes.stream where isSo(self) { return }
    }

    /// What was confirmed, in order.
    var messages: [OutgoingMessage] { state.withLock { $0.messages } }

    /// What the ingress noted as accepted, in order.
    var noted: [OutgoingMessage] { state.withLock { $0.noted } }

    func note(_ message: OutgoingMessage) { state.withLock { $0.noted.append(message) } }

    var failure: PublishError.Kind? {
        get { state.withLock { $0.failure } }
        set { state.withLock { $0.failure = newValue } }
    }

    var isReady: Bool {
        get { state.withLock { $0.isReady } }
        set { state.withLock { $0.isReady = newValue } }
    }

    var heldCount: Int { state.withLock { $0.held.count } }

    /// Called for each confirmed message, before its confirm.
    func onPublish(_ action: @escaping @Sendable (OutgoingMessage) async -> Void) {
        state.withLock { $0.onPublish = action }
    }

    /// Confirms nothing until `release`.
    func hold() { state.withLock { $0.isHolding = true } }

    func release() {
        let held = state.withLock { state in
            defer { state.held = [] }
            state.isHolding = false
            return state.held
        }
        for continuation in held { continuation.resume() }
    }

    func publish(_ message: OutgoingMessage) async throws(PublishError) {
        let (failure, action) = state.withLock { ($0.failure, $0.onPublish) }
        if let failure { throw PublishError(failure) }
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.isHolding { state.held.append(continuation) }
                return !state.isHolding
            }
            if isFree { continuation.resume() } else { changes.continuation.yield() }
        }
        state.withLock { $0.messages.append(message) }
        changes.continuation.yield()
        await action?(message)
    }
}

/// Operations and spool in memory, with the rules of the database.
actor FakeOperations: OperationStore {
    private var stored: [OperationID: Operation] = [:]
    private(set) var spooled: [OutgoingMessage] = []
    private(set) var beginCount = 0
    private(set) var findCount = 0
    private var failure: PostgresError?
    private var observers: [UUID: AsyncStream<OperationID?>.Continuation] = [:]
    private var isSilent = false

    var count: Int { stored.count }

    func fail(with failure: PostgresError?) { self.failure = failure }

    /// No longer announces what finishes.
    func beSilent() { isSilent = true }

    func begin(_ operation: Operation, spooling message: OutgoingMessage?) throws -> Operation? {
        if let failure { throw failure }
        beginCount += 1
        let earlier = stored[operation.id]
        if earlier == nil { stored[operation.id] = operation }
        let mayBeDone = earlier.map { $0.status == .pending && $0.requestHash == operation.requestHash } ?? true
        if let message, mayBeDone { try spool(message) }
        return earlier
    }

    func spool(_ message: OutgoingMessage) throws {
        if let failure { throw failure }
        if !spooled.contains(where: { $0.envelope.id == message.envelope.id }) { spooled.append(message) }
    }

    func find(_ id: OperationID) throws -> Operation? {
        findCount += 1
        if let failure { throw failure }
        return stored[id]
    }

    func finish(_ id: OperationID, status: Int, outcome: [UInt8], subject: String? = nil) {
        guard var operation = stored[id], operation.status == .pending else { return }
        operation.status = status < 400 ? .succeeded : .failed
        operation.httpStatus = status
        operation.outcome = outcome
        operation.subjectID = subject
        operation.finishedAt = Date(timeIntervalSince1970: 1_804_690_001)
        stored[id] = operation
        if isSilent { return }
        for observer in observers.values { observer.yield(id) }
    }

    func observeFinished(_ each: @Sendable (OperationID?) -> Void) async {
        let (stream, continuation) = AsyncStream.makeStream(of: OperationID?.self)
        let id = UUID()
        observers[id] = continuation
        each(nil)
        for await event in stream { each(event) }
        observers[id] = nil
    }
}

/// A schedule in memory.
final class FakeSchedule: ScheduleReads {
    struct State {
        var jobs: [JobView] = []
        var consultations: [ConsultationView] = []
        var failure: PostgresError?
        var jobQueries: [(filter: JobFilter, cursor: PageCursor?, limit: Int)] = []
    }

    let state = Mutex(State())

    var queryCount: Int { state.withLock { $0.jobQueries.count } }

    var firstQuery: (filter: JobFilter, cursor: PageCursor?, limit: Int)? { state.withLock { $0.jobQueries.first } }

    func job(_ id: JobID) async throws -> JobView? {
        try state.withLock { state in
            if let failure = state.failure { throw failure }
            return state.jobs.first { $0.id == id }
        }
    }

    func jobs(_ filter: JobFilter, cursor: PageCursor?, limit: Int) async throws -> Page<JobView> {
        state.withLock { state in
            state.jobQueries.append((filter, cursor, limit))
            let all = state.jobs.filter { job in
                (filter.states.isEmpty || filter.states.contains(job.state))
                    && (cursor.map { (job.startsAt, job.id.rawValue) > ($0.startsAt, $0.id) } ?? true)
            }
            let items = all.sorted { ($0.startsAt, $0.id) < ($1.startsAt, $1.id) }.prefix(limit)
            return Page(items: Array(items), next: all.count > limit ? items.last?.pageCursor : nil)
        }
    }

    func consultation(_ id: ConsultationID) async throws -> ConsultationView? {
        state.withLock { $0.consultations.first { $0.id == id } }
    }

    func consultations(
        _ filter: ConsultationFilter, cursor: PageCursor?, limit: Int
    ) async throws -> Page<ConsultationView> {
        Page(items: state.withLock { $0.consultations }, next: nil)
    }
}

/// API keys in memory.
final class FakeKeys: Sendable {
    struct State {
        var keys: [[UInt8]: ApiKey] = [:]
        var lookUps = 0
    }

    let state = Mutex(State())

    init() { add(Harness.apiKeyText, role: .admin, name: "Front office") }

    func add(
        _ text: String, role: AccessRole, name: String = "key", expiresAt: Date? = nil, revokedAt: Date? = nil
    ) {
        let key = ApiKey(
            id: ApiKeyID(digest: Array(SHA256.hash(data: Array(text.utf8)))), name: name, role: role,
            prefix: String(text.prefix(12)), createdAt: Date(timeIntervalSince1970: 0), expiresAt: expiresAt,
            revokedAt: revokedAt)
        state.withLock { $0.keys[Array(SHA256.hash(data: Array(text.utf8)))] = key }
    }

    func revoke(_ text: String) {
        state.withLock { $0.keys[Array(SHA256.hash(data: Array(text.utf8)))]?.revokedAt = Date() }
    }

    var lookUps: Int { state.withLock { $0.lookUps } }

    func find(_ digest: [UInt8]) async throws -> ApiKey? {
        state.withLock { state in
            state.lookUps += 1
            return state.keys[digest]
        }
    }
}

enum Samples {
    static let user = User(
        id: UserID(digest: Array(repeating: 3, count: 16)), email: "office@example.com", name: "Office One",
        role: .office,
        passwordChangedAt: Date(timeIntervalSince1970: 1_804_600_000),
        createdAt: Date(timeIntervalSince1970: 1_804_600_000), updatedAt: Date(timeIntervalSince1970: 1_804_600_000))

    static let job = JobView(
        id: JobID(digest: Array(repeating: 1, count: 16)), number: "J-2027-00042", state: .scheduled, version: 3,
        service: "patching", priority: .standard, customer: Person(name: "Customer One"),
        site: JobRequest.Site(address: "410 Maple Street", timeZone: "America/New_York"),
        startsAt: Date(timeIntervalSince1970: 1_805_000_000), endsAt: Date(timeIntervalSince1970: 1_805_010_800),
        timeZone: "America/New_York", createdAt: Date(timeIntervalSince1970: 1_804_600_000),
        updatedAt: Date(timeIntervalSince1970: 1_804_600_000))

    static let consultation = ConsultationView(
        id: ConsultationID(digest: Array(repeating: 2, count: 16)), kind: .residential, state: .booked, version: 2,
        sequence: 0, customer: Person(name: "Customer One"), startsAt: Date(timeIntervalSince1970: 1_805_000_000),
        endsAt: Date(timeIntervalSince1970: 1_805_003_600), timeZone: "America/New_York", assignment: .pending,
        createdAt: Date(timeIntervalSince1970: 1_804_600_000), updatedAt: Date(timeIntervalSince1970: 1_804_600_000))

    static let createJob = """
        {"customer":{"name":"Customer One","email":"customer.one@example.com","phone":"+1 (614) 555-0142"},
         "site":{"address":"410 Maple Street, Zanesville, OH","time_zone":"America/New_York"},
         "service":"patching","priority":"high","starts_at":"2027-03-16T08:00:00-04:00","duration_minutes":180}
        """

    /// Bytes of a file that the tests carry.
    static func fixture(_ name: String) throws -> [UInt8] {
        let url = Bundle.module.bundleURL.appending(path: "Fixtures/" + name)
        return Array(try Data(contentsOf: url))
    }

    static let webhookNames = [
        "01-invitee-created-residential", "02-invitee-created-commercial-sms", "03-invitee-canceled-by-invitee",
        "04-invitee-canceled-by-host", "05a-reschedule-old-invitee-canceled", "05b-reschedule-new-invitee-created",
        "06-invitee-created-group-second", "07-invitee-no-show-created", "08-invitee-created-with-payment",
        "09-invitee-created-unicode", "10-invitee-created-sparse", "11-routing-form-submission-created",
    ]
}

/// A journal of dead letters in memory.
final class FakeLetters: LetterStore {
    private let letters = Mutex<[DeadLetterID: DeadLetter]>([:])
    private let acts = Mutex<[String]>([])

    /// What was done, and by whom, in order.
    var log: [String] { acts.withLock { $0 } }

    /// What was listed, in order.
    let filters = Mutex<[DeadLetters.Filter]>([])

    func add(_ letter: DeadLetter) { letters.withLock { $0[letter.id] = letter } }

    func list(_ filter: DeadLetters.Filter, after cursor: DeadLetterID?, limit: Int) async throws -> DeadLetters.Page {
        filters.withLock { $0.append(filter) }
        let all = letters.withLock { $0.values.sorted { $0.id > $1.id } }
        let matching = all.filter { letter in
            (filter.status == nil || letter.status == filter.status) && cursor.map { letter.id < $0 } ?? true
        }
        let page = Array(matching.prefix(limit))
        return DeadLetters.Page(letters: page, next: matching.count > limit ? page.last?.id : nil)
    }

    func groups(includesResolved: Bool, limit: Int) async throws -> [LetterGroup] { [] }

    func find(_ id: DeadLetterID) async throws -> DeadLetter? { letters.withLock { $0[id] } }

    func facts(of letter: DeadLetter) async throws -> LetterFacts { LetterFacts() }

    func edit(
        _ id: DeadLetterID, patch: JSONPatch?, replacing former: JSONPatch?, reason: String?, by who: String
    ) async throws -> DeadLetters.EditResult {
        try letters.withLock { letters in
            guard var letter = letters[id] else { return .missing }
            guard letter.status == .dead else { return .notDead(letter.status) }
            _ = try patch?.apply(toBody: letter.body)
            letter.patch = patch
            letters[id] = letter
            acts.withLock { $0.append("\(who) edit") }
            return .edited(letter)
        }
    }

    func discard(_ id: DeadLetterID, reason: String, by who: String) async throws -> Bool {
        change(id, from: .dead, to: .discarded, "\(who) discard \(reason)")
    }

    func restore(_ id: DeadLetterID, reason: String?, by who: String) async throws -> Bool {
        change(id, from: .discarded, to: .dead, "\(who) restore \(reason ?? "-")")
    }

    private func change(
        _ id: DeadLetterID, from old: DeadLetter.Status, to new: DeadLetter.Status, _ act: String
    ) -> Bool {
        letters.withLock { letters in
            guard letters[id]?.status == old else { return false }
            letters[id]?.status = new
            acts.withLock { $0.append(act) }
            return true
        }
    }
}
