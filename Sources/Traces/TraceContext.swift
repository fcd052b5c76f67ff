/// A trace, and the span of it that something belongs to: W3C Trace Context (https://www.w3.org/TR/trace-context/).
package struct TraceContext: Hashable, Sendable {
    /// The sixteen bytes of the trace's id; never all zero.
    package let traceID: TraceID
    /// The eight bytes of the span's id, big-endian; never zero.
    package let spanID: UInt64
    /// Whether somebody keeps the spans of this trace.
    package let isSampled: Bool

    /// What the running task works for; nil outside of any trace.
    @TaskLocal package static var current: TraceContext?

    package init(traceID: TraceID, spanID: UInt64, isSampled: Bool) {
        self.traceID = traceID
        self.spanID = spanID
        self.isSampled = isSampled
    }

    /// Begins a trace of our own.
    package static func root(isSampled: Bool) -> TraceContext {
        TraceContext(
            traceID: TraceID(high: .random(in: 1 ... .max), low: .random(in: 1 ... .max)),
            spanID: .random(in: 1 ... .max),
            isSampled: isSampled)
    }

    /// Another span of the same trace.
    package func child() -> TraceContext {
        TraceContext(traceID: traceID, spanID: .random(in: 1 ... .max), isSampled: isSampled)
    }

    /// Reads the header `traceparent`.
    ///
    /// Versions after 00 are read as far as 00 goes, as the recommendation asks (section 3.2.4); of the flags only
    /// *sampled* is known, and the others are dropped.
    /// - Returns: nil for anything that is not valid, after which a trace begins anew.
    package init?(traceParent: String?) {
        guard let traceParent else { return nil }
        let bytes = Array(traceParent.utf8)
        let dash = UInt8(ascii: "-")
        guard bytes.count >= 55, bytes[2] == dash, bytes[35] == dash, bytes[52] == dash,
            let version = UInt64(hex: bytes[0..<2]), version != 0xFF,
            bytes.count == 55 || version > 0 && bytes[55] == dash,
            let high = UInt64(hex: bytes[3..<19]), let low = UInt64(hex: bytes[19..<35]), high | low != 0,
            let spanID = UInt64(hex: bytes[36..<52]), spanID != 0, let flags = UInt64(hex: bytes[53..<55])
        else { return nil }
        self.init(traceID: TraceID(high: high, low: low), spanID: spanID, isSampled: flags & 1 == 1)
    }

    /// The header `traceparent`, version 00.
    package var traceParent: String { "00-\(traceID)-\(spanID.hex)-\(isSampled ? "01" : "00")" }
}

/// The id of a trace; its text has 32 lowercase hexadecimal digits.
package struct TraceID: Hashable, Sendable, CustomStringConvertible {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package var description: String { high.hex + low.hex }
}

extension UInt64 {
    /// Sixteen lowercase hexadecimal digits.
    package var hex: String {
        let digits = String(self, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    /// Lowercase digits only, as the recommendation wants it.
    fileprivate init?(hex digits: some Sequence<UInt8>) {
        var value: UInt64 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"):
                value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        self = value
    }
}
