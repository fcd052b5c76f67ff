import Foundation

/// One webhook, decoded.
package struct WebhookEnvelope: Hashable, Sendable {
    /// As Calendly names it; an open set.
    package var event: String
    /// When the webhook was made, in whole seconds; of no use to order snapshots by.
    package var createdAt: Timestamp?
    /// The user who made the subscription, not the one who booked.
    package var createdBy: String?
    package var payload: Payload

    package enum Payload: Hashable, Sendable {
        case invitee(InviteeChange, InviteePayload)
        case routingFormSubmission(RoutingFormSubmission)
        /// An event that nothing here is done with.
        case unhandled
    }

    /// What an invitee's webhook tells.
    package enum InviteeChange: String, Hashable, Sendable, CaseIterable {
        /// Booked, or made anew by a reschedule.
        case created
        /// Canceled by the invitee or a host, or replaced by a reschedule.
        case canceled
        case noShowMarked
        case noShowCleared
    }

    /// Decodes a body.
    ///
    /// Unknown events, keys and enum values are accepted.
    ///
    /// - Throws: `WebhookDecodingError` if the body is no webhook, or lacks what its event cannot be understood without.
    package static func decode(_ body: [UInt8]) throws -> WebhookEnvelope {
        do {
            return try JSONDecoder().decode(WebhookEnvelope.self, from: Data(body))
        } catch let error as DecodingError {
            throw WebhookDecodingError(error)
        }
    }
}

extension WebhookEnvelope: Decodable {
    private enum CodingKeys: String, CodingKey {
        case event, payload
        case createdAt = "created_at"
        case createdBy = "created_by"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        event = try container.text(.event)
        createdAt = container.optional(Timestamp.self, .createdAt)
        createdBy = container.optionalText(.createdBy)
        func invitee(_ change: InviteeChange) throws -> Payload {
            .invitee(change, try container.decode(InviteePayload.self, forKey: .payload))
        }
        payload =
            switch WebhookKind(rawValue: event) {
            case .inviteeCreated: try invitee(.created)
            case .inviteeCanceled: try invitee(.canceled)
            case .noShowCreated: try invitee(.noShowMarked)
            case .noShowDeleted: try invitee(.noShowCleared)
            case .routingFormSubmissionCreated:
                .routingFormSubmission(try container.decode(RoutingFormSubmission.self, forKey: .payload))
            case nil: .unhandled
            }
    }
}

/// Why a body could not be decoded. It holds no value from the body, so it is safe to log and to store.
package struct WebhookDecodingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Where in the JSON, such as `payload.scheduled_event.start_time`; empty for the whole.
    package var path: String
    package var detail: String

    package var description: String {
        path.isEmpty ? detail : "\(path): \(detail)"
    }

    init(_ error: DecodingError) {
        func text(_ path: [any CodingKey]) -> String {
            path.map { key in key.intValue.map { "[\($0)]" } ?? key.stringValue }.joined(separator: ".")
                .replacing(".[", with: "[")
        }
        switch error {
        case .keyNotFound(let key, let context):
            self.init(path: text(context.codingPath + [key]), detail: "missing")
        case .valueNotFound(_, let context):
            self.init(path: text(context.codingPath), detail: "null")
        case .typeMismatch(let type, let context):
            self.init(path: text(context.codingPath), detail: "not of type \(type)")
        case .dataCorrupted(let context):
            // The decoder's own words may quote the body; ours do not, and always come with a path.
            self.init(
                path: text(context.codingPath),
                detail: context.codingPath.isEmpty ? "not JSON" : context.debugDescription)
        @unknown default:
            self.init(path: "", detail: "not decodable")
        }
    }

    private init(path: String, detail: String) {
        self.path = path
        self.detail = detail
    }
}
