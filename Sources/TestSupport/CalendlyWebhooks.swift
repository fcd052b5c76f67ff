package import Foundation

/// The stored sample deliveries under `Tests/CalendlyTests/Fixtures`.
package enum CalendlyFixture {
    private static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent().appending(path: "../../Tests/CalendlyTests/Fixtures").standardizedFileURL

    /// Every delivery by its file's name without the ending, such as `01-invitee-created-residential`, in order.
    package static func deliveries() throws -> [(name: String, body: [UInt8])] {
        try FileManager.default.contentsOfDirectory(
            at: folder.appending(path: "calendly"), includingPropertiesForKeys: nil
        )
        .filter { $0.pathExtension == "json" }
        .map { ($0.deletingPathExtension().lastPathComponent, Array(try Data(contentsOf: $0))) }
        .sorted { $0.name < $1.name }
    }

    /// The delivery whose name begins with `prefix`, such as `05a`.
    package static func delivery(_ prefix: String) throws -> [UInt8] {
        guard let found = try deliveries().first(where: { $0.name.hasPrefix(prefix) }) else {
            throw CocoaError(.fileNoSuchFile)
        }
        return found.body
    }

    /// A file by its path inside the folder.
    package static func file(_ path: String) throws -> Data {
        try Data(contentsOf: folder.appending(path: path))
    }
}

/// Makes deliveries about invented invitees.
///
/// An invitee is named by a short word such as `A`; its URI follows from that. Times are minutes after a fixed instant.
package struct InviteeWebhook: Sendable {
    /// The invitee.
    package var invitee: String
    /// Group events share one; nil gives the invitee an event of its own.
    package var event: String?
    package var eventName = "Residential Consultation"
    /// The invitee that it replaces, or that replaces it.
    package var old: String?
    package var new: String?
    package var isRescheduled = false
    package var isCanceled = false
    /// When the visit begins, in minutes.
    package var startsAt = 0
    /// When the invitee's record was last changed, in minutes.
    package var updatedAt = 0
    package var name = "Pat Example"
    package var cancelReason: String?
    /// The mark that nobody came: its name and its minute.
    package var noShow: (name: String, at: Int)?
    /// Minute of the webhook itself.
    package var sentAt: Int?

    package init(_ invitee: String) {
        self.invitee = invitee
    }

    package static func uri(_ invitee: String, event: String? = nil) -> String {
        "https://api.calendly.com/scheduled_events/\(event ?? "EV-" + invitee)/invitees/\(invitee)"
    }

    /// 2027-03-01 12:00 UTC and so many minutes.
    package static func instant(_ minutes: Int) -> Date {
        Date(timeIntervalSince1970: 1_803_902_400 + Double(minutes) * 60)
    }

    private static func text(_ minutes: Int) -> String {
        instant(minutes).formatted(.iso8601).replacing("Z", with: ".000000Z")
    }

    /// The body of a delivery.
    ///
    /// - Parameter event: as Calendly names it, such as `invitee.created`.
    package func body(_ eventName: String) -> [UInt8] {
        func link(_ invitee: String?) -> Any { invitee.map { Self.uri($0) } ?? NSNull() }
        let eventURI = "https://api.calendly.com/scheduled_events/\(event ?? "EV-" + invitee)"
        var payload: [String: Any] = [
            "uri": Self.uri(invitee, event: event), "event": eventURI, "name": name, "email": "pat@example.com",
            "status": isCanceled ? "canceled" : "active", "rescheduled": isRescheduled,
            "old_invitee": link(old), "new_invitee": link(new),
            "created_at": Self.text(0), "updated_at": Self.text(updatedAt),
            "cancel_url": "https://calendly.com/cancellations/\(invitee)",
            "reschedule_url": "https://calendly.com/reschedulings/\(invitee)",
            "questions_and_answers": [["question": "Project Address", "answer": "1 Main St", "position": 0]],
            "no_show": noShow.map {
                ["uri": "https://api.calendly.com/invitee_no_shows/\($0.name)", "created_at": Self.text($0.at)]
            } ?? NSNull(),
            "scheduled_event": [
                "uri": eventURI, "name": self.eventName, "status": "active",
                "start_time": Self.text(startsAt + 10_000), "end_time": Self.text(startsAt + 10_060),
                "event_type": "https://api.calendly.com/event_types/T", "event_memberships": [Any](),
                "event_guests": [Any](),
            ] as [String: Any],
        ]
        if isCanceled {
            payload["cancellation"] = [
                "canceled_by": name, "reason": cancelReason ?? "", "canceler_type": "invitee",
                "created_at": Self.text(updatedAt),
            ]
        }
        let body: [String: Any] = [
            "event": eventName, "created_at": Self.text(sentAt ?? updatedAt),
            "created_by": "https://api.calendly.com/users/U", "payload": payload,
        ]
        guard let data = try? JSONSerialization.data(withJSONObject: body, options: [.sortedKeys]) else {
            preconditionFailure("the parts are JSON")
        }
        return Array(data)
    }

    // MARK: - The usual deliveries

    /// `invitee.created`.
    package static func created(_ invitee: String, old: String? = nil, startsAt: Int = 0, at: Int = 0) -> [UInt8] {
        var webhook = InviteeWebhook(invitee)
        webhook.old = old
        webhook.startsAt = startsAt
        webhook.updatedAt = at
        return webhook.body("invitee.created")
    }

    /// `invitee.canceled`; with `new` it is the old half of a reschedule.
    package static func canceled(
        _ invitee: String, old: String? = nil, new: String? = nil, startsAt: Int = 0, at: Int = 60
    ) -> [UInt8] {
        var webhook = InviteeWebhook(invitee)
        webhook.old = old
        webhook.new = new
        webhook.isRescheduled = new != nil
        webhook.isCanceled = true
        webhook.startsAt = startsAt
        webhook.updatedAt = at
        return webhook.body("invitee.canceled")
    }
}
