import Foundation
import Postgres

/// What was accepted took effect, once.
extension Audit {
    mutating func webhooks(_ pool: PostgresPool) async throws {
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

    mutating func operations(_ pool: PostgresPool) async throws {
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

    mutating func consultations(_ pool: PostgresPool) async throws {
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

    mutating func jobs(_ pool: PostgresPool) async throws {
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
    mutating func effects(_ pool: PostgresPool) async throws {
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
}
