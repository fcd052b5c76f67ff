import Foundation
import Traces

/// Spans as OTLP's JSON has them.
///
/// The mapping is proto3's JSON with the exceptions that the protocol names: ids are hexadecimal, enumerations are
/// numbers, and 64-bit integers are strings (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
struct OTLPTraces: Encodable {
    var resourceSpans: [ResourceSpans]

    /// One request with spans of one process.
    ///
    /// - Parameter resource: what the process is, such as `service.name`.
    init(_ spans: [Span.Finished], resource: [String: String], scopeVersion: String) {
        let attributes = resource.mapValues(Span.Attribute.text)
        resourceSpans = [
            ResourceSpans(
                resource: Resource(attributes: KeyValue.list(attributes)),
                scopeSpans: [
                    ScopeSpans(
                        scope: Scope(name: "neff", version: scopeVersion), spans: spans.map(SpanEntry.init))
                ])
        ]
    }

    /// The request's body.
    func json() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(self))
    }

    struct ResourceSpans: Encodable {
        var resource: Resource
        var scopeSpans: [ScopeSpans]
    }

    struct Resource: Encodable {
        var attributes: [KeyValue]
    }

    struct ScopeSpans: Encodable {
        var scope: Scope
        var spans: [SpanEntry]
    }

    struct Scope: Encodable {
        var name: String
        var version: String
    }

    struct SpanEntry: Encodable {
        var traceId: String
        var spanId: String
        var parentSpanId: String?
        /// The trace flags, in the low byte.
        var flags: UInt32
        var name: String
        var kind: Int
        var startTimeUnixNano: String
        var endTimeUnixNano: String
        var attributes: [KeyValue]
        var status: Status

        init(_ span: Span.Finished) {
            traceId = span.context.traceID.description
            spanId = span.context.spanID.hex
            parentSpanId = span.parentSpanID == 0 ? nil : span.parentSpanID.hex
            flags = span.context.isSampled ? 1 : 0
            name = span.name
            kind = span.kind.rawValue
            startTimeUnixNano = String(span.start)
            endTimeUnixNano = String(span.end)
            attributes = KeyValue.list(span.attributes)
            // Unset, rather than OK, is what a program says of itself; OK is an operator's word.
            status = Status(code: span.failure == nil ? 0 : 2, message: span.failure)
        }
    }

    struct Status: Encodable {
        var code: Int
        var message: String?
    }

    struct KeyValue: Encodable {
        var key: String
        var value: AnyValue

        static func list(_ attributes: [String: Span.Attribute]) -> [KeyValue] {
            attributes.sorted { $0.key < $1.key }.map { KeyValue(key: $0.key, value: AnyValue($0.value)) }
        }
    }

    /// Exactly one of them is set.
    struct AnyValue: Encodable {
        var stringValue: String?
        var intValue: String?
        var boolValue: Bool?

        init(_ attribute: Span.Attribute) {
            switch attribute {
            case .text(let text): stringValue = text
            case .number(let number): intValue = String(number)
            case .claim(let claim): boolValue = claim
            }
        }
    }
}

/// What a collector answers when it did not take everything.
struct OTLPAnswer: Decodable {
    var partialSuccess: PartialSuccess?

    struct PartialSuccess: Decodable {
        private var rejectedSpans: Count?
        var errorMessage: String?

        var rejected: Int { rejectedSpans?.value ?? 0 }
    }

    /// A 64-bit integer of proto3's JSON: a string, though readers must take a number as well.
    struct Count: Decodable {
        var value: Int

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self), let number = Int(text) {
                value = number
            } else {
                value = try container.decode(Int.self)
            }
        }
    }
}
