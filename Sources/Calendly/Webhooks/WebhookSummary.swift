import Crypto

/// The little that has to be known of a webhook before it is put in the queue: what it tells of, and whether it is the same
/// thing told again.
package struct WebhookSummary: Hashable, Sendable {
    /// As Calendly names it, such as `invitee.created`; an open set.
    package var event: String
    /// What identifies the fact that is told, the same in every retry of it and in the deliveries of a second subscription.
    ///
    /// Event name and URI of the invitee or the submission; for the no-show pair also the mark, since a mark can be set again.
    /// An event that we do not know, or one without the URI it should have, is identified by its bytes.
    ///
    /// A stale delivery is another message than a valid one of the same fact, since the valid one has to be able to replace
    /// the hint: add the verdict to these parts when making a message id from them.
    package var deduplicationParts: [String]

    /// Why a body is no webhook.
    package enum ParseError: Error, Hashable, Sendable, CustomStringConvertible {
        /// Not JSON text in UTF-8, or nested too deeply.
        ///
        /// - Parameter offset: where it stops being so, in bytes.
        case notJSON(offset: Int)
        case notAnObject
        /// There is no `event`, or it is empty or no string.
        case noEvent

        package var description: String {
            switch self {
            case .notJSON(let offset): "the body is not JSON from byte \(offset) on"
            case .notAnObject: "the body is JSON, but not an object"
            case .noEvent: "the body has no event name"
            }
        }
    }

    /// Reads a body in one pass, without building what it does not need.
    package static func parse(_ body: [UInt8]) throws(ParseError) -> WebhookSummary {
        guard String(validating: body, as: UTF8.self) != nil else { throw .notJSON(offset: 0) }
        let bytes = body.span
        var fields = Fields()
        var scanner = JSONScanner()
        let isObject = scanner.peek(in: bytes) == UInt8(ascii: "{")
        do {
            if isObject {
                try fields.readEnvelope(with: &scanner, in: bytes)
            } else {
                try scanner.skipValue(in: bytes)
            }
            try scanner.finish(in: bytes)
        } catch {
            throw .notJSON(offset: error.offset)
        }
        guard isObject else { throw .notAnObject }
        guard let event = fields.event, !event.isEmpty else { throw .noEvent }
        return WebhookSummary(
            event: event,
            deduplicationParts: deduplicationParts(
                event: event, uri: fields.uri, noShow: fields.noShow, createdAt: fields.createdAt, body: body))
    }

    /// See `deduplicationParts`.
    static func deduplicationParts(
        event: String, uri: String?, noShow: String?, createdAt: String?, body: @autoclosure () -> [UInt8]
    ) -> [String] {
        guard let kind = WebhookKind(rawValue: event), let uri, !uri.isEmpty else {
            let digits = Array("0123456789abcdef".utf8)
            let hex = SHA256.hash(data: body()).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
            return ["calendly", event, "sha256", String(decoding: hex, as: UTF8.self)]
        }
        switch kind {
        case .inviteeCreated, .inviteeCanceled, .routingFormSubmissionCreated:
            return ["calendly", event, uri]
        case .noShowCreated, .noShowDeleted:
            return ["calendly", event, uri, noShow ?? createdAt ?? ""]
        }
    }

    private struct Fields {
        var event: String?
        var createdAt: String?
        var uri: String?
        var noShow: String?

        mutating func readEnvelope(
            with scanner: inout JSONScanner, in bytes: Span<UInt8>
        ) throws(JSONScanner.SyntaxError) {
            try scanner.enterObject(in: bytes)
            while let key = try scanner.nextKey(in: bytes) {
                if JSONScanner.matches(key, "event", in: bytes) {
                    event = try scanner.readStringOrSkip(in: bytes)
                } else if JSONScanner.matches(key, "created_at", in: bytes) {
                    createdAt = try scanner.readStringOrSkip(in: bytes)
                } else if JSONScanner.matches(key, "payload", in: bytes), scanner.peek(in: bytes) == Self.brace {
                    try readPayload(with: &scanner, in: bytes)
                } else {
                    try scanner.skipValue(in: bytes)
                }
            }
        }

        private mutating func readPayload(
            with scanner: inout JSONScanner, in bytes: Span<UInt8>
        ) throws(JSONScanner.SyntaxError) {
            try scanner.enterObject(in: bytes)
            while let key = try scanner.nextKey(in: bytes) {
                if JSONScanner.matches(key, "uri", in: bytes) {
                    uri = try scanner.readStringOrSkip(in: bytes)
                } else if JSONScanner.matches(key, "no_show", in: bytes), scanner.peek(in: bytes) == Self.brace {
                    try scanner.enterObject(in: bytes)
                    while let key = try scanner.nextKey(in: bytes) {
                        if JSONScanner.matches(key, "uri", in: bytes) {
                            noShow = try scanner.readStringOrSkip(in: bytes)
                        } else {
                            try scanner.skipValue(in: bytes)
                        }
                    }
                } else {
                    try scanner.skipValue(in: bytes)
                }
            }
        }

        private static let brace = UInt8(ascii: "{")
    }
}

/// The webhooks that something here is done with.
package enum WebhookKind: String, Hashable, Sendable, CaseIterable {
    case inviteeCreated = "invitee.created"
    case inviteeCanceled = "invitee.canceled"
    case noShowCreated = "invitee_no_show.created"
    case noShowDeleted = "invitee_no_show.deleted"
    case routingFormSubmissionCreated = "routing_form_submission.created"
}
