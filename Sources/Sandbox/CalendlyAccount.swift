package import Domain
package import Foundation
import Messaging

/// A simulated account at Calendly: it keeps bookings, and makes the webhook bodies that the vendor would push.
///
/// State rules follow the vendor's: a reschedule makes a new event and a new invitee and links the two; an invitee's URI is
/// never used again.
package struct CalendlyAccount: Sendable {
    /// Somebody who takes bookings.
    package struct Host: Sendable, Hashable {
        package let user: String
        package let name: String
        package let email: String
    }

    /// One booking: an invitee of an event.
    package struct Booking: Sendable, Hashable {
        package let uri: String
        package let event: String
        package let kind: ConsultationKind
        package let name: String
        package let email: String
        package let startsAt: Date
        package let endsAt: Date
        package let address: String
        package let host: Host
        package let createdAt: Date
        package var oldInvitee: String?
        package var newInvitee: String?
    }

    private static let base = "https://api.calendly.com"
    private static let minutes: [ConsultationKind: Int] = [
        .residential: 60, .commercial: 90, .maintenance: 45, .emergency: 30, .triage: 60,
    ]
    private static let names: [ConsultationKind: String] = [
        .residential: "Residential Consultation", .commercial: "Commercial Consultation",
        .maintenance: "Maintenance Consultation", .emergency: "Emergency Service Call", .triage: "Coffee chat",
    ]

    /// Sets this account's identifiers apart from those of every other run.
    private let run: String
    private var last = 0
    /// The vendor's clock; each change is a little later than the one before.
    private var now: Date

    package init(run: String, now: Date) {
        self.run = run
        self.now = now
    }

    private mutating func makeIdentifier() -> String {
        last += 1
        let digest = MessageID.hex(MessageID.digest([run, String(last)]).prefix(16))
        let parts = [8, 4, 4, 4, 12]
        var rest = Substring(digest)
        return parts.map { length in
            defer { rest = rest.dropFirst(length) }
            return String(rest.prefix(length))
        }.joined(separator: "-")
    }

    private mutating func tick() -> Date {
        now = now.addingTimeInterval(0.25)
        return now
    }

    /// A host with a URI that is the same in every run.
    package static func host(_ name: String, email: String) -> Host {
        Host(
            user: "\(base)/users/\(MessageID.hex(MessageID.digest(["host", name]).prefix(16)))", name: name,
            email: email)
    }

    // MARK: What happens at the vendor

    /// A customer books.
    package mutating func book(
        _ kind: ConsultationKind, name: String, email: String, at start: Date, address: String, host: Host
    ) -> Booking {
        let event = "\(Self.base)/scheduled_events/\(makeIdentifier())"
        return Booking(
            uri: "\(event)/invitees/\(makeIdentifier())", event: event, kind: kind, name: name, email: email,
            startsAt: start, endsAt: start.addingTimeInterval(Double(Self.minutes[kind, default: 60]) * 60),
            address: address, host: host, createdAt: tick(), oldInvitee: nil, newInvitee: nil)
    }

    /// A customer moves a booking; gives the two halves.
    package mutating func move(_ booking: Booking, to start: Date) -> (old: Booking, new: Booking) {
        var new = book(
            booking.kind, name: booking.name, email: booking.email, at: start, address: booking.address,
            host: booking.host)
        var old = booking
        new.oldInvitee = old.uri
        old.newInvitee = new.uri
        return (old, new)
    }

    // MARK: What the vendor pushes

    package mutating func created(_ booking: Booking) -> Delivery {
        Delivery(event: "invitee.created", body: webhook("invitee.created", booking, [:]))
    }

    package mutating func canceled(_ booking: Booking, by canceler: Canceler, reason: String) -> Delivery {
        let stamp = tick()
        let extra: [String: JSONValue] = [
            "status": "canceled", "rescheduled": .bool(booking.newInvitee != nil),
            "updated_at": .string(Self.text(stamp)),
            "cancellation": [
                "canceled_by": .string(canceler == .host ? booking.host.name : booking.name),
                "canceler_type": .string(canceler.rawValue), "reason": .string(reason),
                "created_at": .string(Self.text(stamp)),
            ],
        ]
        return Delivery(event: "invitee.canceled", body: webhook("invitee.canceled", booking, extra))
    }

    package enum Canceler: String, Sendable {
        case invitee, host
    }

    package mutating func noShow(_ booking: Booking) -> Delivery {
        let mark = "\(Self.base)/invitee_no_shows/\(makeIdentifier())"
        let stamp = tick()
        return Delivery(
            event: "invitee_no_show.created",
            body: webhook(
                "invitee_no_show.created", booking,
                ["no_show": ["uri": .string(mark), "created_at": .string(Self.text(stamp))]]))
    }

    /// An event that this project has no rule for.
    package mutating func unknown() -> Delivery {
        let body: JSONValue = [
            "event": "contact.created", "created_at": .string(Self.text(tick())),
            "created_by": .string("\(Self.base)/users/unknown"),
            "payload": ["contact": ["uri": .string("\(Self.base)/contacts/\(makeIdentifier())")]],
        ]
        return Delivery(event: "contact.created", body: Self.bytes(body))
    }

    private mutating func webhook(_ event: String, _ booking: Booking, _ extra: [String: JSONValue]) -> [UInt8] {
        let isCanceled = extra["status"] != nil
        var payload: [String: JSONValue] = [
            "uri": .string(booking.uri), "event": .string(booking.event), "email": .string(booking.email),
            "name": .string(booking.name), "first_name": nil, "last_name": nil, "status": "active",
            "timezone": "America/New_York", "created_at": .string(Self.text(booking.createdAt)),
            "updated_at": .string(Self.text(booking.createdAt)), "rescheduled": false,
            "old_invitee": .text(booking.oldInvitee), "new_invitee": .text(booking.newInvitee),
            "cancel_url": .string("https://calendly.com/cancellations/\(booking.uri.suffix(36))"),
            "reschedule_url": .string("https://calendly.com/reschedulings/\(booking.uri.suffix(36))"),
            "no_show": nil, "payment": nil, "reconfirmation": nil, "routing_form_submission": nil,
            "scheduling_method": nil, "invitee_scheduled_by": nil, "text_reminder_number": nil,
            "questions_and_answers": [
                ["question": "Project Address", "answer": .string(booking.address), "position": 0],
                ["question": "Project Type", "answer": "Driveway replacement", "position": 1],
            ],
            "tracking": [
                "utm_campaign": nil, "utm_source": nil, "utm_medium": nil, "utm_content": nil, "utm_term": nil,
                "salesforce_uuid": nil,
            ],
            "scheduled_event": [
                "uri": .string(booking.event), "name": .text(Self.names[booking.kind]),
                "status": .string(isCanceled ? "canceled" : "active"),
                "start_time": .string(Self.text(booking.startsAt)), "end_time": .string(Self.text(booking.endsAt)),
                "event_type": .string("\(Self.base)/event_types/\(booking.kind.rawValue)"),
                "location": ["type": "ask_invitee", "location": .string(booking.address)],
                "invitees_counter": ["total": 1, "active": .number(isCanceled ? 0 : 1), "limit": 1],
                "created_at": .string(Self.text(booking.createdAt)),
                "updated_at": .string(Self.text(booking.createdAt)),
                "event_memberships": [
                    [
                        "user": .string(booking.host.user), "user_name": .string(booking.host.name),
                        "user_email": .string(booking.host.email),
                    ]
                ],
                "event_guests": [], "meeting_notes_plain": nil, "meeting_notes_html": nil,
            ],
        ]
        payload.merge(extra) { _, new in new }
        return Self.bytes([
            "event": .string(event), "created_at": .string(Self.text(tick())),
            "created_by": .string("\(Self.base)/users/subscriber"), "payload": .object(payload),
        ])
    }

    /// Compact JSON, as the vendor sends it.
    private static func bytes(_ value: JSONValue) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // A tree of strings, numbers and booleans always encodes.
        return (try? encoder.encode(value)).map(Array.init) ?? []
    }

    /// UTC with six fraction digits, as the vendor writes instants.
    private static func text(_ date: Date) -> String {
        let microseconds = Int((date.timeIntervalSince1970 * 1_000_000).rounded())
        let whole = Date(timeIntervalSince1970: Double(microseconds / 1_000_000))
        let fraction = String(microseconds % 1_000_000 + 1_000_000).dropFirst()
        return whole.formatted(Date.ISO8601FormatStyle()).dropLast() + ".\(fraction)Z"
    }
}
