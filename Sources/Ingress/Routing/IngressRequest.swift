import Foundation
import HTTPTypes
import Traces

/// A request with its whole body.
struct IngressRequest: Sendable {
    var method: HTTPRequest.Method
    var path: Substring
    /// What follows the question mark, still percent-encoded.
    var query: Substring?
    var headers: HTTPFields
    var body: [UInt8]
    /// What stood where the route's template has `{...}`.
    var pathParameter: String
    /// The caller's `X-Request-Id` if it is usable, else one of ours.
    var requestID: String
    var receivedAt: Date
    /// Whom the client asked for, by the header `Host`.
    var authority: String?
    /// Where the client is; nil where nobody asks for it, or the connection is none of IP.
    var address: String?
    /// The request's span, or what the caller said of it; a trace that nobody keeps if there is neither.
    var trace: TraceContext
}

/// Names one request in answers, commands and logs.
enum RequestID {
    /// A caller's identifier is taken if it has 1 to 128 characters that are harmless in every log and header.
    static func accept(_ text: String?) -> String? {
        guard let text, (1...128).contains(text.utf8.count) else { return nil }
        let isHarmless = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        return isHarmless ? text : nil
    }

    static func make() -> String {
        let digits = Array("0123456789abcdef".utf8)
        var (high, low) = (UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max))
        return "req_"
            + String(unsafeUninitializedCapacity: 32) { buffer in
                for index in 0..<16 {
                    buffer[index] = digits[Int(high & 15)]
                    buffer[index + 16] = digits[Int(low & 15)]
                    high >>= 4
                    low >>= 4
                }
                return 32
            }
    }
}
