import Foundation
package import Postgres
package import Sandbox

/// Holds what is in the database and in the mailbox against what was accepted.
package struct Audit: Sendable {
    /// What a run may have besides its load.
    package struct Allowance: Sendable {
        /// Ids of messages that were put there to fail; each must have become exactly one dead letter.
        package var poison: Set<String> = []
        /// Whether every request must have been accepted at its first try, refused connections aside.
        package var noRequestFails = false
        /// Whether every request must have been accepted in the end.
        package var allAccepted = true

        package init() {}
    }

    /// What was found.
    package struct Report: Sendable {
        /// Numbers worth reading, in order.
        package var counts: [(name: String, value: Int)] = []
        /// Broken promises; empty if all were kept.
        package var violations: [String] = []
        /// What is no violation and still wants to be explained.
        package var notes: [String] = []

        package var isClean: Bool { violations.isEmpty }

        package subscript(name: String) -> Int { counts.first { $0.name == name }?.value ?? 0 }
    }

    let record: Record
    let allowance: Allowance
    private var report = Report()

    /// - Parameters:
    ///   - pool: the database of the run; only read.
    ///   - mails: what the mail server has accepted in the run.
    package static func run(
        record: Record, pool: PostgresPool, mails: [Mailbox.Mail], allowance: Allowance = Allowance()
    ) async throws -> Report {
        var audit = Audit(record: record, allowance: allowance)
        audit.answers()
        try await audit.webhooks(pool)
        try await audit.operations(pool)
        try await audit.consultations(pool)
        try await audit.jobs(pool)
        try await audit.effects(pool)
        try await audit.allocations(pool)
        let notices = try await audit.notices(pool, mails)
        try await audit.deadLetters(pool, notices)
        return audit.report
    }

    private init(record: Record, allowance: Allowance) {
        self.record = record
        self.allowance = allowance
    }

    mutating func count(_ name: String, _ value: Int) { report.counts.append((name, value)) }
    mutating func violate(_ text: String) { report.violations.append(text) }
    mutating func explain(_ text: String) { report.notes.append(text) }

    // MARK: What was answered

    private mutating func answers() {
        let requests = record.requests
        let accepted = requests.filter(\.isAccepted)
        count("requests", requests.count)
        count("accepted", accepted.count)
        count("tries that failed", requests.reduce(0) { $0 + $1.failures.count })
        count("refused connections", record.refusedConnections)
        for request in requests where !request.isAccepted {
            // A job that cannot be had is an answer, too.
            if case .operation = request.subject, let status = request.status, [404, 409, 412].contains(status) {
                continue
            }
            let answer = request.status.map(String.init) ?? "given up after \(request.failures.suffix(3))"
            if request.status != nil || allowance.allAccepted {
                violate("\(request.label) of story \(request.story) was never accepted: \(answer)")
            }
        }
        if allowance.noRequestFails {
            for request in requests where !request.failures.isEmpty {
                violate("\(request.label) of story \(request.story) failed first: \(request.failures.prefix(3))")
            }
        }
        for trouble in record.troubles { violate(trouble) }
    }

    // MARK: Only poison dies

    private mutating func deadLetters(_ pool: PostgresPool, _ refused: [String: Int]) async throws {
        var found: [String: Int] = [:]
        var refusals = 0
        for row in try await pool.query("select message_id, queue, type, error_code, reason from dead_letters") {
            let (id, queue, type, code, reason) = try row.decode(
                String.self, String.self, String.self, String?.self, String.self)
            if allowance.poison.contains(id) {
                found[id, default: 0] += 1
            } else if ["smtp.550", "smtp.552"].contains(code ?? ""), queue.hasPrefix("notification") {
                refusals += 1
            } else {
                violate("dead letter without poison: \(type) \(id) in \(queue), \(code ?? reason)")
            }
        }
        for id in allowance.poison.sorted() where found[id] != 1 {
            violate("poison \(id) has become \(found[id] ?? 0) dead letters instead of one")
        }
        let refusedStories = Set(record.stories.filter(\.isRefused).map { $0.email.lowercased() })
        for (recipient, _) in refused where !refusedStories.contains(recipient) {
            violate("a notice to \(recipient) was given up, though the mail server takes mail for it")
        }
        if refusals != refused.values.reduce(0, +) {
            violate("\(refused.values.reduce(0, +)) notices were refused for good and \(refusals) dead letters say so")
        }
        count("dead letters of poison", found.values.reduce(0, +))
        count("dead letters of refused mail", refusals)
    }
}
