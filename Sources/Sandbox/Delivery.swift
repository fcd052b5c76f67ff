import Calendly
package import Foundation

/// One webhook on its way: what it is about and the exact bytes.
package struct Delivery: Sendable, Hashable {
    package let event: String
    package let body: [UInt8]

    package init(event: String, body: [UInt8]) {
        self.event = event
        self.body = body
    }

    /// The signature header for these bytes.
    ///
    /// - Parameter instant: what the signature says of its own time; whole seconds.
    package func signature(key: String, at instant: Date) -> String {
        WebhookSignature.sign(body: body, key: key, at: Int64(instant.timeIntervalSince1970))
    }
}
