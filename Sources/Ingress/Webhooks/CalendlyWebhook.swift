import AMQP
import Calendly
import Crypto
import Foundation
import HTTPTypes
import Logging
import Messaging
import NIOCore
import Traces

/// `POST /webhooks/calendly`: judges the signature, stores the bytes as they came, answers.
///
/// The answer is 202 only once broker or spool has the message. A stale delivery is answered like a valid one, because
/// nobody knows whether the vendor signs its retries anew and refusing them for a day would get the subscription
/// disabled; it travels marked, and under an id of its own, so that it cannot stand in the way of the valid one.
struct CalendlyWebhook: Sendable {
    let keys: [String]
    let tolerance: Duration
    let intake: Intake
    let metrics: IngressMetrics

    static let path = "/webhooks/calendly"

    func receive(_ request: IngressRequest) async throws -> IngressResponse {
        try await intake.store(message(from: request), kind: .webhook)
        return IngressResponse(status: .accepted)
    }

    /// The message that a delivery becomes, if it can be believed.
    ///
    /// - Throws: `ProblemResponse`.
    func message(from request: IngressRequest) throws -> OutgoingMessage {
        guard !keys.isEmpty else {
            metrics.webhook(.unconfigured)
            throw ProblemResponse.unavailable("No signing key is configured, so no webhook can be believed.")
        }
        let verdict = WebhookSignature.verify(
            header: request.headers[.calendlySignature], body: request.body, keys: keys, now: request.receivedAt,
            tolerance: tolerance)
        let mark: Envelope.SignatureMark
        switch verdict {
        case .valid: mark = .valid
        case .stale: mark = .stale
        case .invalid(let reason):
            metrics.webhook(WebhookVerdict(reason))
            throw ProblemResponse(
                .invalidSignature, Self.detail(of: reason), headers: [.wwwAuthenticate: "Signature realm=\"calendly\""])
        }
        let (event, parts) = try summary(of: request.body)
        metrics.webhook(mark == .valid ? .valid : .stale)

        let envelope = Envelope(
            id: Self.messageID(parts, mark), type: .calendly(event), timestamp: request.receivedAt,
            traceParent: request.trace.traceParent, signature: mark, body: request.body)
        return OutgoingMessage(exchange: .inbound, envelope: envelope)
    }

    /// The event's name as it may stand in a routing key, and what makes the message's id.
    ///
    /// - Throws: 400 if the body is not JSON. JSON that is no webhook is accepted like an unknown event: it was signed, so
    ///   somebody should see it.
    private func summary(of body: [UInt8]) throws -> (event: String, parts: [String]) {
        do throws(WebhookSummary.ParseError) {
            let summary = try WebhookSummary.parse(body)
            return (RoutingKeyWord.safe(summary.event), summary.deduplicationParts)
        } catch {
            if case .notJSON = error {
                metrics.webhook(.notJSON)
                throw ProblemResponse(.malformedRequest, "The signature is right, but \(error).")
            }
            return (RoutingKeyWord.unknown, ["calendly", "", "sha256", MessageID.hex(SHA256.hash(data: body))])
        }
    }

    static func messageID(_ parts: [String], _ mark: Envelope.SignatureMark) -> String {
        let id = MessageID.hex(MessageID.digest(parts).prefix(16))
        return mark == .stale ? id + "-stale" : id
    }

    private static func detail(of reason: WebhookSignature.Reason) -> String {
        switch reason {
        case .missing: "There is no \(WebhookSignature.headerName) header."
        case .malformed: "The \(WebhookSignature.headerName) header is not of the form t=<seconds>,v1=<64 hex digits>."
        case .mismatch: "The signature does not match the body under any signing key."
        }
    }
}

/// Makes a vendor's event name fit for a routing key.
enum RoutingKeyWord {
    static let unknown = "unknown"
    /// Routing keys have 255 bytes at most (AMQP 0-9-1); ours begin with the vendor's name.
    static let maxBytes = 100

    /// The name itself if it has 1 to 100 bytes of `a-z`, `0-9`, `_`, `-` and inner full stops, else `unknown`.
    static func safe(_ name: String) -> String {
        let bytes = name.utf8
        guard (1...maxBytes).contains(bytes.count), bytes.first != UInt8(ascii: "."), bytes.last != UInt8(ascii: ".")
        else { return unknown }
        let isSafe = bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"),
                UInt8(ascii: "-"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        return isSafe ? name : unknown
    }
}
