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

    private let record: Record
    private let allowance: Allowance
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

    private mutating func count(_ name: String, _ value: Int) { report.counts.append((name, value)) }
    private mutating func violate(_ text: String) { report.violations.append(text) }

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

    // MARK: What was accepted took effect, once

    private mutating func webhooks(_ pool: PostgresPool) async throws {
        var handled: Set<String> = []
        for row in try await pool.query("select message_id from inbox where consumer = 'sync'") {
            handled.insert(try row.decode("message_id"))
        }
        var dead: Set<String> = []
        for row in try await pool.query("select message_id from dead_letters") {
            dead.insert(try row.decode("message_id"))
        }
        var distinct: Set<String> = []
        for request in record.requests where request.isAccepted {
            guard case .webhook(let event, let id) = request.subject, distinct.insert(id).inserted else { continue }
            // Under another id if the ingress's clock took the signature for a stale one.
            if handled.contains(id) || handled.contains(id + "-stale") { continue }
            let place = dead.contains(id) ? "is a dead letter" : "is nowhere"
            violate("lost: \(event) of story \(request.story) (message \(id)) was accepted and \(place)")
        }
        count("webhooks, each counted once", distinct.count)
    }

    private mutating func operations(_ pool: PostgresPool) async throws {
        struct Found {
            var status: String
            var httpStatus: Int?
        }
        var found: [String: Found] = [:]
        for row in try await pool.query("select route, idempotency_key, status, http_status from operations") {
            let (route, key, status, http) = try row.decode(String.self, String.self, String.self, Int?.self)
            found["\(route) \(key)"] = Found(status: status, httpStatus: http)
        }
        var distinct: Set<String> = []
        for request in record.requests where request.isAccepted {
            guard case .operation(let route, let key) = request.subject, distinct.insert("\(route) \(key)").inserted
            else { continue }
            guard let operation = found["\(route) \(key)"] else {
                violate("lost: \(request.label) of story \(request.story) (key \(key)) was accepted and is nowhere")
                continue
            }
            if operation.status == "pending" {
                violate("stuck: \(request.label) of story \(request.story) (key \(key)) is still pending")
            } else if operation.status == "failed", ![404, 409, 412, 422].contains(operation.httpStatus ?? 0) {
                violate("\(request.label) of story \(request.story) failed with \(operation.httpStatus ?? 0)")
            }
        }
        count("operations, each counted once", distinct.count)
    }

    /// Numbers of the stories whose requests were all accepted.
    private var complete: Set<Int> {
        let open = Set(record.requests.filter { !$0.isAccepted }.map(\.story))
        return Set(record.requests.map(\.story)).subtracting(open)
    }

    private mutating func consultations(_ pool: PostgresPool) async throws {
        struct Found {
            var id: String
            var state: String
            var startsAt: Date
        }
        var byEmail: [String: [Found]] = [:]
        for row in try await pool.query(
            "select customer_email, id, state, starts_at from consultations where merged_into is null")
        {
            let (email, id, state, start) = try row.decode(String?.self, String.self, String.self, Date.self)
            byEmail[email ?? "", default: []].append(Found(id: id, state: state, startsAt: start))
        }
        let complete = complete
        var number = 0
        for story in record.stories {
            guard case .consultation(let state, let startsAt) = story.expectation, complete.contains(story.number)
            else { continue }
            number += 1
            let found = byEmail[story.email] ?? []
            guard found.count == 1, let consultation = found.first else {
                violate(
                    "\(found.isEmpty ? "lost" : "duplicate"): story \(story.number) (\(story.email)) has "
                        + "\(found.count) consultations instead of one \(found.map(\.id))")
                continue
            }
            if consultation.state != state {
                violate("story \(story.number): consultation \(consultation.id) is \(consultation.state), not \(state)")
            }
            if abs(consultation.startsAt.timeIntervalSince(startsAt)) >= 1 {
                violate("story \(story.number): consultation \(consultation.id) is at the wrong time")
            }
        }
        count("consultations", number)
    }

    private mutating func jobs(_ pool: PostgresPool) async throws {
        var byEmail: [String: [(id: String, state: String)]] = [:]
        for row in try await pool.query("select customer_email, id, state from jobs") {
            let (email, id, state) = try row.decode(String?.self, String.self, String.self)
            byEmail[email ?? "", default: []].append((id, state))
        }
        var outcomes: [String: String] = [:]
        for row in try await pool.query("select idempotency_key, status from operations") {
            let (key, status) = try row.decode(String.self, String.self)
            outcomes[key] = status
        }
        var number = 0
        let byStory = Dictionary(grouping: record.requests, by: \.story)
        for story in record.stories {
            guard case .job(let wanted) = story.expectation else { continue }
            let requests = byStory[story.number] ?? []
            func succeeded(_ isMeant: (String) -> Bool) -> Bool {
                requests.contains { request in
                    guard case .operation(let route, let key) = request.subject, isMeant(route) else { return false }
                    return outcomes[key] == "succeeded"
                }
            }
            let isMade = succeeded { $0 == "POST /v1/jobs" }
            let isCanceled = wanted == "canceled" && succeeded { $0.hasSuffix("/cancel") }
            let found = byEmail[story.email] ?? []
            if found.count != (isMade ? 1 : 0) {
                violate(
                    "\(found.count > 1 ? "duplicate" : "lost"): story \(story.number) (\(story.email)) has "
                        + "\(found.count) jobs instead of \(isMade ? 1 : 0) \(found.map(\.id))")
            }
            if let job = found.first, job.state != (isCanceled ? "canceled" : "scheduled") {
                violate("story \(story.number): job \(job.id) is \(job.state)")
            }
            number += found.count
        }
        count("jobs", number)
    }

    /// The change log cannot be rewritten, so an effect that happened twice shows in it.
    private mutating func effects(_ pool: PostgresPool) async throws {
        let rows = try await pool.query(
            """
            select subject_kind, subject_id, change_type, request_id, count(*) as count from change_log
            where request_id is not null group by 1, 2, 3, 4 having count(*) > 1
            union all
            select subject_kind, subject_id, change_type, null, count(*) from change_log
            where change_type = 'created' group by 1, 2, 3 having count(*) > 1
            """)
        for row in rows {
            let (kind, subject, change, request, times) = try row.decode(
                String.self, String.self, String.self, String?.self, Int.self)
            violate("duplicate: \(change) of \(kind) \(subject) happened \(times) times (message \(request ?? "any"))")
        }
        let lines: Int = try await pool.query("select count(*) as count from change_log")[0]["count"]
        count("lines of the change log", lines)
    }

    // MARK: Nobody is booked twice

    private mutating func allocations(_ pool: PostgresPool) async throws {
        for row in try await pool.query(
            """
            select a.resource_id, a.subject_id, b.subject_id, (a.during * b.during)::text
            from allocations a join allocations b
                on a.id < b.id and a.resource_id = b.resource_id and a.during && b.during
            where a.active and b.active
            """)
        {
            let (resource, first, second, time) = try row.decode(
                String.self, String.self, String.self, String.self)
            violate("overlap: \(resource) is taken by \(first) and by \(second) during \(time)")
        }
        for row in try await pool.query(
            """
            select s.kind, s.id, s.needed, count(a.id) as found
            from (
                select 'appointment' as kind, p.id, coalesce(bool_or(c.assignment = 'assigned'), false)::int as needed
                from appointments p left join consultations c on c.appointment = p.id group by p.id
                union all select 'consultation', id, 1 from consultations
                    where assignment = 'assigned' and appointment is null
                union all select 'job', id, (state = 'scheduled')::int from jobs
            ) s left join allocations a on a.subject_kind = s.kind and a.subject_id = s.id and a.active
            group by 1, 2, 3 having count(a.id) <> s.needed
            """)
        {
            let (kind, id, needed, found) = try row.decode(String.self, String.self, Int.self, Int.self)
            violate("\(kind) \(id) holds \(found) allocations instead of \(needed)")
        }
        for row in try await pool.query(
            """
            select id, state, assignment from consultations where merged_into is null and not (
                (state = 'booked' and assignment in ('assigned', 'unassigned'))
                or (state = 'canceled' and assignment in ('released', 'pending', 'unassigned')))
            """)
        {
            let (id, state, assignment) = try row.decode(String.self, String.self, String.self)
            violate("stuck: consultation \(id) is \(state) and its assignment \(assignment)")
        }
        let active: Int = try await pool.query("select count(*) as count from allocations where active")[0]["count"]
        count("allocations", active)
    }

    // MARK: Everybody is told once

    /// - Returns: how many notices were refused for good, by recipient.
    private mutating func notices(_ pool: PostgresPool, _ mails: [Mailbox.Mail]) async throws -> [String: Int] {
        var copies: [String: [Mailbox.Mail]] = [:]
        for mail in mails { copies[Self.bare(mail.messageID ?? ""), default: []].append(mail) }
        var known: Set<String> = []
        var failed: [String: Int] = [:]
        var sent = 0
        var superseded = 0
        var repeats = 0
        var ambiguous = 0
        for row in try await pool.query("select occasion, recipient, mail_id, status, ambiguous from notifications") {
            let (occasion, recipient, mailID, status, isAmbiguous) = try row.decode(
                String.self, String.self, String.self, String.self, Bool.self)
            let id = Self.bare(mailID)
            known.insert(id)
            let found = copies[id]?.count ?? 0
            if isAmbiguous { ambiguous += 1 }
            switch status {
            case "sent":
                sent += 1
                if found == 0 { violate("lost: no mail to \(recipient) for \(occasion), though it counts as sent") }
                if found > 1 {
                    if isAmbiguous {
                        repeats += found - 1
                    } else {
                        violate("duplicate: \(found) mails to \(recipient) for \(occasion)")
                    }
                }
            case "superseded", "failed":
                if status == "superseded" { superseded += 1 } else { failed[recipient.lowercased(), default: 0] += 1 }
                // A try that was cut off after its dot may have got through before the notice was given up.
                if found > 0, !isAmbiguous {
                    violate("duplicate: \(found) mails to \(recipient) for \(occasion), which is \(status)")
                }
            default: violate("stuck: the notice to \(recipient) for \(occasion) is \(status)")
            }
        }
        for (id, mails) in copies where !known.contains(id) {
            violate("mail \(id) to \(mails[0].recipients) belongs to no notice")
        }
        try await occasions(pool)
        count("notices sent", sent)
        count("notices superseded", superseded)
        count("notices refused for good", failed.values.reduce(0, +))
        count("mails handed over", mails.count)
        count("ambiguous instants", ambiguous)
        count("repeated mails of ambiguous instants", repeats)
        if ambiguous > 0 {
            report.notes.append(
                "\(ambiguous) sends were cut off between the final dot and the server's answer; nobody can know whether "
                    + "the server took them, so they were sent again under the same Message-ID, and \(repeats) arrived "
                    + "twice (docs/workers/notification.md, the ambiguous instant)")
        }
        return failed
    }

    /// Each announcement of a consultation or job is one occasion for its customer, and the newest one is never missing.
    private mutating func occasions(_ pool: PostgresPool) async throws {
        for row in try await pool.query(
            """
            select s.kind, s.id, s.sequence, n.sequence as told, count(n.id) as notices
            from (
                select 'consultation' as kind, id, sequence, customer_email from consultations
                union all select 'job', id, sequence, customer_email from jobs
            ) s left join notifications n
                on n.subject_kind = s.kind and n.subject_id = s.id and lower(n.recipient) = lower(s.customer_email)
            where s.customer_email is not null and s.sequence > 0
            group by 1, 2, 3, 4 having count(n.id) <> 1
            """)
        {
            let (kind, id, sequence, told, notices) = try row.decode(
                String.self, String.self, Int.self, Int?.self, Int.self)
            violate(
                notices == 0
                    ? "lost: the customer of \(kind) \(id) was told nothing of \(sequence) announcements"
                    : "duplicate: \(notices) notices of announcement \(told ?? 0) of \(kind) \(id)")
        }
        for row in try await pool.query(
            """
            select s.kind, s.id, s.sequence, max(n.sequence) as told, count(distinct n.sequence) as number
            from (
                select 'consultation' as kind, id, sequence, customer_email from consultations
                union all select 'job', id, sequence, customer_email from jobs
            ) s join notifications n
                on n.subject_kind = s.kind and n.subject_id = s.id and lower(n.recipient) = lower(s.customer_email)
            group by 1, 2, 3 having max(n.sequence) <> s.sequence
                or (s.kind = 'consultation' and count(distinct n.sequence) <> s.sequence)
            """)
        {
            let (kind, id, sequence, told, number) = try row.decode(
                String.self, String.self, Int.self, Int.self, Int.self)
            violate(
                "lost: \(kind) \(id) had \(sequence) announcements, its customer was told \(number), the last one \(told)"
            )
        }
    }

    /// The text between the angle brackets, if there are any.
    private static func bare(_ messageID: String) -> String {
        messageID.trimmingCharacters(in: CharacterSet(charactersIn: "<> \t\r\n"))
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
