import Domain
package import Foundation
import Messaging
package import Transport

/// A day at Neff Paving, played through the front door: Calendly's webhooks and staff requests, good and bad.
///
/// It only talks to the ingress, over HTTP, as Calendly and the office would. What it expects to come of each request it
/// notes in a `DayPlan`, for the account afterwards.
package struct Day: Sendable {
    /// Where the front door is, and what opens it.
    package struct Target: Sendable {
        /// Such as `http://127.0.0.1:8080`.
        package var ingress: String
        package var apiKey: String
        package var signingKey: String
        /// For an ingress with a certificate of a private authority.
        package var caFile: String?

        package init(ingress: String, apiKey: String, signingKey: String, caFile: String? = nil) {
            self.ingress = ingress
            self.apiKey = apiKey
            self.signingKey = signingKey
            self.caFile = caFile
        }
    }

    private let target: Target
    private let http: HTTPClient
    private let progress: @Sendable (String) -> Void
    private var account: CalendlyAccount
    private var plan: DayPlan
    private let calendar: SiteCalendar
    private let domain: String

    /// - Parameters:
    ///   - run: sets this run's customers and keys apart from every other's; letters and digits.
    ///   - progress: is told each step as it is done.
    package init(
        target: Target, http: HTTPClient, run: String, now: Date, progress: @escaping @Sendable (String) -> Void
    ) {
        self.target = target
        self.http = http
        self.progress = progress
        account = CalendlyAccount(run: run, now: now)
        calendar = SiteCalendar(now: now)
        domain = "\(run).example.com"
        plan = DayPlan(domain: domain)
    }

    /// Plays the day and says what must have come of it.
    ///
    /// - Throws: only if the front door cannot be reached; a wrong answer is noted in the plan.
    package mutating func play() async throws -> DayPlan {
        try await bookings()
        try await changes()
        try await nuisances()
        try await office()
        return plan
    }

    // MARK: Webhooks

    private static let east = CalendlyAccount.host("Estimator East", email: "estimator-east@neffpaving.example")
    private static let west = CalendlyAccount.host("Estimator West", email: "estimator-west@neffpaving.example")

    private mutating func book(
        _ label: String, _ kind: ConsultationKind, at start: Date, host: CalendlyAccount.Host, mailbox: String? = nil
    ) -> CalendlyAccount.Booking {
        account.book(
            kind, name: label,
            email: "\(mailbox ?? label.lowercased().replacingOccurrences(of: " ", with: "-"))@\(domain)",
            at: start, address: "\(100 + plan.consultations.count) Orchard Hill Rd, Zanesville, OH 43701", host: host)
    }

    private mutating func bookings() async throws {
        let kinds: [(ConsultationKind, String)] = [
            (.residential, "Residential"), (.commercial, "Commercial"), (.maintenance, "Maintenance"),
            (.emergency, "Emergency"),
        ]
        for (index, (kind, word)) in kinds.enumerated() {
            let booking = book(
                "\(word) One", kind, at: calendar.businessDay(5 + index, hour: 9),
                host: index.isMultiple(of: 2) ? Self.east : Self.west)
            try await deliver(account.created(booking))
            plan.expect(.init(booking, state: .booked, mails: 1))
        }
        let twice = book("Booked Twice", .residential, at: calendar.businessDay(5, hour: 13), host: Self.east)
        let delivery = account.created(twice)
        for _ in 0..<3 { try await deliver(delivery, note: "the same delivery again") }
        plan.expect(.init(twice, state: .booked, mails: 1))

        // Three at once for two estimators: the third has nobody, and is told so in the API, not double booked.
        let clash = calendar.businessDay(12, hour: 10)
        for (label, host) in [("Clash One", Self.east), ("Clash Two", Self.west)] {
            let booking = book(label, .residential, at: clash, host: host)
            try await deliver(account.created(booking))
            plan.expect(.init(booking, state: .booked, mails: 1))
            try await settle(booking, until: "assigned")
        }
        let third = book("Clash Three", .residential, at: clash, host: Self.east)
        try await deliver(account.created(third))
        plan.expect(.init(third, state: .booked, mails: 1, assignment: .unassigned))

        let busy = book(
            "Mailbox Busy", .maintenance, at: calendar.businessDay(6, hour: 14), host: Self.east, mailbox: "once-451")
        try await deliver(account.created(busy))
        plan.expect(.init(busy, state: .booked, mails: 1))
        let refused = book(
            "Mailbox Refused", .maintenance, at: calendar.businessDay(7, hour: 14), host: Self.west,
            mailbox: "refused-550")
        try await deliver(account.created(refused))
        plan.expect(.init(refused, state: .booked, mails: 0))
        plan.expectedDeadLetters = 1
    }

    private mutating func changes() async throws {
        let byInvitee = book("Canceled By Invitee", .residential, at: calendar.businessDay(8, hour: 9), host: Self.east)
        try await deliver(account.created(byInvitee))
        try await settle(byInvitee, until: "assigned")
        try await deliver(account.canceled(byInvitee, by: .invitee, reason: "Found another date"))
        plan.expect(.init(byInvitee, state: .canceled, mails: 2, assignment: .released))

        let byHost = book("Canceled By Host", .commercial, at: calendar.businessDay(8, hour: 13), host: Self.west)
        try await deliver(account.created(byHost))
        try await settle(byHost, until: "assigned")
        let cancellation = account.canceled(byHost, by: .host, reason: "")
        try await deliver(cancellation)
        try await deliver(cancellation, note: "the same delivery again")
        plan.expect(.init(byHost, state: .canceled, mails: 2, assignment: .released))

        let tombstone = book("Canceled First", .maintenance, at: calendar.businessDay(9, hour: 9), host: Self.east)
        let late = account.created(tombstone)
        try await deliver(account.canceled(tombstone, by: .invitee, reason: "Sent before its booking"))
        try await settle(tombstone, until: "canceled")
        try await deliver(late, note: "after its cancellation")
        plan.expect(.init(tombstone, state: .canceled, mails: nil, assignment: nil))

        for (label, newFirst) in [("Moved Old First", false), ("Moved New First", true)] {
            let booking = book(
                label, .residential, at: calendar.businessDay(10, hour: newFirst ? 13 : 9), host: Self.west)
            try await deliver(account.created(booking))
            try await settle(booking, until: "assigned")
            let (old, new) = account.move(booking, to: calendar.businessDay(11, hour: newFirst ? 13 : 9))
            let halves = [
                account.canceled(old, by: .invitee, reason: "Another day suits better"), account.created(new),
            ]
            for half in newFirst ? halves.reversed() : halves { try await deliver(half) }
            plan.expect(.init(new, state: .booked, mails: 2))
        }

        let absent = book("No Show", .emergency, at: calendar.businessDay(5, hour: 16), host: Self.east)
        try await deliver(account.created(absent))
        // Nobody can be absent from a visit that is not arranged yet.
        try await settle(absent, until: "assigned")
        try await deliver(account.noShow(absent))
        plan.expect(.init(absent, state: .noShow, mails: 1))
    }

    private mutating func nuisances() async throws {
        try await deliver(account.unknown(), note: "an event nobody asked for")
        let garbage = Delivery(event: "garbage", body: Array("this is { not JSON".utf8))
        try await deliver(garbage, expecting: 400, note: "well signed, not JSON")
        let forged = book("Forged", .residential, at: calendar.businessDay(13, hour: 9), host: Self.east)
        let body = account.created(forged)
        try await deliver(body, expecting: 401, key: "not-the-key-TEST-ONLY", note: "signed with a wrong key")
        try await deliver(body, expecting: 401, key: nil, note: "not signed")
        let huge = Delivery(event: "huge", body: Array(repeating: UInt8(ascii: " "), count: 1_100_000))
        try await deliver(huge, expecting: 413, note: "larger than 1 MiB")
        let stale = book("Stale Signature", .commercial, at: calendar.businessDay(13, hour: 13), host: Self.west)
        try await deliver(account.created(stale), age: 3_600, note: "signed an hour ago")
        plan.expect(.init(stale, state: .booked, mails: 1))
    }

    private mutating func deliver(_ delivery: Delivery, age: TimeInterval = 0, note: String? = nil) async throws {
        try await deliver(delivery, expecting: 202, key: target.signingKey, age: age, note: note)
    }

    private mutating func deliver(
        _ delivery: Delivery, expecting status: Int, note: String? = nil
    ) async throws {
        try await deliver(delivery, expecting: status, key: target.signingKey, note: note)
    }

    private mutating func deliver(
        _ delivery: Delivery, expecting status: Int, key: String?, age: TimeInterval = 0, note: String? = nil
    ) async throws {
        var headers: HTTPHeaders = ["Content-Type": "application/json"]
        if let key {
            headers["Calendly-Webhook-Signature"] = delivery.signature(key: key, at: Date().addingTimeInterval(-age))
        }
        let response = try await http.send(
            HTTPRequest(
                method: "POST", url: target.ingress + "/webhooks/calendly", headers: headers, body: delivery.body,
                caFile: target.caFile))
        record("webhook \(delivery.event)", status: response.status, expected: status, note: note)
    }

    /// Waits until the API shows a consultation as far as the next step needs it, at most ten seconds.
    private func settle(_ booking: CalendlyAccount.Booking, until wanted: String) async throws {
        for _ in 0..<100 {
            let consultations = try await Front(target: target, http: http).consultations()
            if let found = consultations.first(where: { $0.customer.email == booking.email }),
                found.assignment == wanted || found.state == wanted
            {
                return
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    // MARK: Staff

    private mutating func office() async throws {
        let front = Front(target: target, http: http)
        let crews = try await crewIdentifiers(front)
        let first = try await create("Job One", at: calendar.businessDay(15, hour: 8), crew: nil, expecting: 201)
        let second = try await create("Job Two", at: calendar.businessDay(16, hour: 8), crew: nil, expecting: 201)
        let third = try await create("Job Three", at: calendar.businessDay(17, hour: 8), crew: nil, expecting: 201)
        plan.expect(
            .init(
                label: "Job One", email: mail("Job One"), state: "scheduled",
                startsAt: calendar.businessDay(15, hour: 8), mails: 1))

        if let crew = first?.crew?.id ?? crews.first {
            _ = try await create("Job Too Late", at: calendar.businessDay(15, hour: 8), crew: crew, expecting: 409)
            plan.expect(.init(label: "Job Too Late", email: mail("Job Too Late"), state: nil, startsAt: nil, mails: 0))
        }
        if let job = second {
            let response = try await front.post(
                "/v1/jobs/\(job.id)/reschedule", key: "\(domain)-move",
                ["starts_at": .string(Instant.text(calendar.businessDay(18, hour: 10))), "reason": "Rain is forecast"])
            record("staff moves Job Two", status: response.status, expected: 200)
            plan.expect(
                .init(
                    label: "Job Two", email: mail("Job Two"), state: "scheduled",
                    startsAt: calendar.businessDay(18, hour: 10), mails: 2))
        }
        if let job = third {
            let response = try await front.post(
                "/v1/jobs/\(job.id)/cancel", key: "\(domain)-cancel", ["reason": "Customer sold the house"])
            record("staff cancels Job Three", status: response.status, expected: 200)
            plan.expect(
                .init(
                    label: "Job Three", email: mail("Job Three"), state: "canceled",
                    startsAt: calendar.businessDay(17, hour: 8), mails: 2))
        }
        let again = try await create(
            "Job One", at: calendar.businessDay(15, hour: 8), crew: nil, expecting: 201, note: "the same request again")
        if let first, let again, first.id != again.id {
            plan.mistakes.append(
                "the same request with the same Idempotency-Key made two jobs: \(first.id), \(again.id)")
        }
        let invalid = try await front.post(
            "/v1/jobs", key: "\(domain)-invalid",
            ["customer": ["name": ""], "service": "moon_landing", "starts_at": "tomorrow"])
        record("staff creates a job with wrong fields", status: invalid.status, expected: 422)
    }

    private func mail(_ label: String) -> String {
        "\(label.lowercased().replacingOccurrences(of: " ", with: "-"))@\(domain)"
    }

    private func crewIdentifiers(_ front: Front) async throws -> [String] {
        try await front.jobs().compactMap(\.crew?.id)
    }

    private mutating func create(
        _ label: String, at start: Date, crew: String?, expecting status: Int, note: String? = nil
    ) async throws -> Front.Job? {
        var request: [String: JSONValue] = [
            "customer": ["name": .string(label), "email": .string(mail(label))],
            "site": ["address": "6575 West Pike, Zanesville, OH 43701", "time_zone": "America/New_York"],
            "service": "patching", "starts_at": .string(Instant.text(start)),
        ]
        if let crew { request["crew"] = .string(crew) }
        let response = try await Front(target: target, http: http).post(
            "/v1/jobs", key: "\(domain)-\(label)", .object(request))
        record("staff creates \(label)", status: response.status, expected: status, note: note)
        guard response.status == 201 else { return nil }
        return try? WireJSON.decode(Front.Job.self, from: response.body)
    }

    private mutating func record(_ what: String, status: Int, expected: Int, note: String? = nil) {
        let suffix = note.map { " (\($0))" } ?? ""
        plan.requests[what.hasPrefix("webhook") ? "webhooks" : "staff requests", default: [:]][status, default: 0] += 1
        if status != expected {
            plan.mistakes.append("\(what)\(suffix) was answered \(status) instead of \(expected)")
        }
        progress("\(what)\(suffix): \(status)")
    }
}
