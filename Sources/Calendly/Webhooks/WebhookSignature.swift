import Crypto
package import Foundation

/// Calendly's webhook signature: an HMAC-SHA256 over the time of sending, a full stop and the raw body.
///
/// The header `Calendly-Webhook-Signature` has the form `t=<unix seconds>,v1=<64 hex digits>`. The key is the signing key's
/// text as UTF-8. Sending time is inside the MAC, so a captured delivery can be sent again but not made to look fresh.
package enum WebhookSignature {
    /// Header names are compared without regard to case; that is the caller's matter.
    package static let headerName = "Calendly-Webhook-Signature"

    /// What a delivery's signature is worth.
    package enum Verdict: Hashable, Sendable {
        /// Calendly sent exactly these bytes, just now.
        ///
        /// - Parameter keyIndex: which of the keys matched; not zero means that a former key is still in use.
        case valid(keyIndex: Int)
        /// Calendly sent exactly these bytes, but not now: a late retry, or a replay by somebody else.
        ///
        /// - Parameter age: how long ago it was signed; negative if that lies in the future.
        case stale(age: Duration)
        case invalid(reason: Reason)
    }

    package enum Reason: String, Hashable, Sendable, CaseIterable {
        /// There is no header, as with a subscription that was made without a signing key.
        case missing
        /// The header lacks a time or a whole `v1`, or is longer than `maxHeaderBytes`.
        case malformed
        /// No key makes any of the MACs.
        case mismatch
    }

    /// Longer headers are malformed. A header with one MAC takes 80 bytes.
    package static let maxHeaderBytes = 2048
    /// How old a delivery may be; the vendor's samples use three minutes.
    package static let defaultTolerance = Duration.seconds(180)
    /// How far the sender's clock may run ahead of ours.
    package static let defaultFutureSkew = Duration.seconds(60)

    /// Judges a delivery.
    ///
    /// Every MAC in the header is compared with that of every key, in constant time and without stopping at a match, so the
    /// time taken tells nothing about how near a forgery came. Unknown schemes beside `v1` are ignored, and so are empty
    /// keys, which would let anybody sign.
    ///
    /// - Parameters:
    ///   - header: the header's value; nil if there is none.
    ///   - body: the bytes as they were received.
    ///   - keys: the current signing key first, then former ones that retries may still be signed with.
    ///   - tolerance: the greatest age that counts as fresh, inclusive, in whole seconds.
    ///   - futureSkew: how far in the future the time of sending may lie, inclusive, in whole seconds.
    package static func verify(
        header: String?, body: [UInt8], keys: [String], now: Date, tolerance: Duration = defaultTolerance,
        futureSkew: Duration = defaultFutureSkew
    ) -> Verdict {
        guard let header else { return .invalid(reason: .missing) }
        guard let parsed = ParsedHeader(header) else { return .invalid(reason: .malformed) }
        var matched: Int?
        for (index, key) in keys.enumerated() where !key.isEmpty {
            let expected = mac(timeText: parsed.timeText, body: body, key: key)
            for candidate in parsed.candidates {
                // Which key matched is no secret; how much of a MAC matched is.
                if constantTimeEqual(expected, candidate), matched == nil { matched = index }
            }
        }
        guard let matched else { return .invalid(reason: .mismatch) }
        let age = Int64(now.timeIntervalSince1970.rounded(.down)) - parsed.seconds
        guard age <= tolerance.components.seconds, age >= -futureSkew.components.seconds else {
            return .stale(age: .seconds(age))
        }
        return .valid(keyIndex: matched)
    }

    /// Makes a header as Calendly does, for simulators and tests.
    ///
    /// - Parameter seconds: Unix time of sending.
    package static func sign(body: [UInt8], key: String, at seconds: Int64) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let hex = mac(timeText: Array(String(seconds).utf8), body: body, key: key)
            .flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return "t=\(seconds),v1=" + String(decoding: hex, as: UTF8.self)
    }

    private static func mac(timeText: [UInt8], body: [UInt8], key: String) -> [UInt8] {
        var code = HMAC<SHA256>(key: SymmetricKey(data: Array(key.utf8)))
        code.update(data: timeText)
        code.update(data: [UInt8(ascii: ".")])
        code.update(data: body)
        return Array(code.finalize())
    }

    private static func constantTimeEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        precondition(left.count == right.count, "MACs have one length")
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }
}

/// `t=…,v1=…` taken apart. Nothing here is secret, so it may stop early.
private struct ParsedHeader {
    /// The digits exactly as they were received, since they are what was signed.
    let timeText: [UInt8]
    let seconds: Int64
    /// The well-formed `v1` values, 32 bytes each; at least one.
    let candidates: [[UInt8]]

    init?(_ header: String) {
        guard header.utf8.count <= WebhookSignature.maxHeaderBytes else { return nil }
        var timeText: [UInt8]?
        var candidates: [[UInt8]] = []
        for element in header.utf8.split(separator: UInt8(ascii: ",")) {
            guard let equals = element.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let name = Self.trimmed(element[..<equals])
            let value = Self.trimmed(element[element.index(after: equals)...])
            if name.elementsEqual("t".utf8) {
                // With two times nobody could say which one is covered by the MAC.
                guard timeText == nil else { return nil }
                timeText = Array(value)
            } else if name.elementsEqual("v1".utf8), let bytes = Self.bytes(hex: value) {
                candidates.append(bytes)
            }
        }
        guard let timeText, !timeText.isEmpty, timeText.allSatisfy({ (48...57).contains($0) }),
            let seconds = Int64(String(decoding: timeText, as: UTF8.self)), seconds < 1 << 40, !candidates.isEmpty
        else { return nil }
        self.timeText = timeText
        self.seconds = seconds
        self.candidates = candidates
    }

    private static func trimmed(_ text: Substring.UTF8View) -> Substring.UTF8View {
        func isSpace(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 }
        var rest = text.drop(while: isSpace)
        while let last = rest.last, isSpace(last) { rest.removeLast() }
        return rest
    }

    private static func bytes(hex: Substring.UTF8View) -> [UInt8]? {
        guard hex.count == 64 else { return nil }
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in hex {
            let digit: UInt8
            switch character {
            case 48...57: digit = character - 48
            case 97...102: digit = character - 87
            case 65...70: digit = character - 55
            default: return nil
            }
            if let first = high {
                bytes.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        return bytes
    }
}
