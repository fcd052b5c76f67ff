import Foundation

/// Reads an `ExportTraceServiceRequest` in JSON, and refuses whatever the protocol does not allow: unknown fields, names in
/// snake_case, ids that are not hexadecimal, 64-bit integers that are not strings, enumerations that are not numbers.
///
/// Written from opentelemetry/proto/trace/v1/trace.proto and the JSON section of the OTLP specification, 1.x.
enum OTLPValidator {
    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    struct ReceivedSpan {
        var traceID: String
        var spanID: String
        var parentSpanID: String?
        var name: String
        var kind: Int
        var start: UInt64
        var end: UInt64
        var statusCode: Int
        var attributes: [String: String]
        var resource: [String: String]
    }

    static func spans(of body: [UInt8]) throws -> [ReceivedSpan] {
        let root = try object(
            JSONSerialization.jsonObject(with: Data(body)), "request", ["resourceSpans"])
        var spans: [ReceivedSpan] = []
        for entry in try list(root["resourceSpans"], "resourceSpans") {
            let group = try object(entry, "resourceSpans[]", ["resource", "scopeSpans", "schemaUrl"])
            let resource = try object(
                group["resource"] ?? [:], "resource", ["attributes", "droppedAttributesCount"])
            let about = try attributes(resource["attributes"])
            for entry in try list(group["scopeSpans"], "scopeSpans") {
                let scoped = try object(entry, "scopeSpans[]", ["scope", "spans", "schemaUrl"])
                _ = try object(
                    scoped["scope"] ?? [:], "scope",
                    ["name", "version", "attributes", "droppedAttributesCount"])
                for entry in try list(scoped["spans"], "spans") { spans.append(try span(entry, about)) }
            }
        }
        return spans
    }

    private static func span(_ value: Any, _ resource: [String: String]) throws -> ReceivedSpan {
        let span = try object(
            value, "span",
            [
                "traceId", "spanId", "traceState", "parentSpanId", "flags", "name", "kind",
                "startTimeUnixNano",
                "endTimeUnixNano", "attributes", "droppedAttributesCount", "events", "droppedEventsCount",
                "links",
                "droppedLinksCount", "status",
            ])
        let kind = try number(span["kind"] ?? 0, "kind")
        guard (0...5).contains(kind) else { throw Violation(description: "kind \(kind)") }
        let name = try text(span["name"], "name")
        guard !name.isEmpty else { throw Violation(description: "a span without a name") }
        let start = try nanoseconds(span["startTimeUnixNano"], "startTimeUnixNano")
        let end = try nanoseconds(span["endTimeUnixNano"], "endTimeUnixNano")
        guard start > 0, start <= end else {
            throw Violation(description: "a span that ends before it starts")
        }
        if let flags = span["flags"] {
            guard (0...0xFFFF_FFFF).contains(try number(flags, "flags")) else {
                throw Violation(description: "flags have 32 bits")
            }
        }
        let status = try object(span["status"] ?? [:], "status", ["code", "message"])
        let code = try number(status["code"] ?? 0, "status.code")
        guard (0...2).contains(code) else { throw Violation(description: "status.code \(code)") }
        if let message = status["message"] { _ = try text(message, "status.message") }
        return ReceivedSpan(
            traceID: try id(span["traceId"], bytes: 16), spanID: try id(span["spanId"], bytes: 8),
            parentSpanID: try span["parentSpanId"].map { try id($0, bytes: 8) }, name: name, kind: kind,
            start: start,
            end: end, statusCode: code, attributes: try attributes(span["attributes"]), resource: resource
        )
    }

    private static func attributes(_ value: Any?) throws -> [String: String] {
        var found: [String: String] = [:]
        for entry in try list(value ?? [Any](), "attributes") {
            let pair = try object(entry, "attribute", ["key", "value"])
            let key = try text(pair["key"], "key")
            guard !key.isEmpty, found[key] == nil else {
                throw Violation(description: "attribute \(key) twice, or empty")
            }
            let value = try object(
                pair["value"] ?? NSNull(), "value",
                [
                    "stringValue", "boolValue", "intValue", "doubleValue", "arrayValue", "kvlistValue",
                    "bytesValue",
                ])
            guard value.count == 1, let (type, content) = value.first else {
                throw Violation(description: "attribute \(key) has \(value.count) values")
            }
            switch type {
            case "stringValue": found[key] = try text(content, key)
            case "intValue":
                guard let number = Int64(try text(content, key)) else {
                    throw Violation(description: "intValue of \(key) is no integer")
                }
                found[key] = String(number)
            case "boolValue":
                guard let claim = content as? Bool else {
                    throw Violation(description: "boolValue of \(key) is no boolean")
                }
                found[key] = String(claim)
            default: throw Violation(description: "we send no \(type)")
            }
        }
        return found
    }

    private static func object(_ value: Any, _ what: String, _ fields: Set<String>) throws -> [String:
        Any]
    {
        guard let object = value as? [String: Any] else {
            throw Violation(description: "\(what) is no object")
        }
        let unknown = Set(object.keys).subtracting(fields)
        guard unknown.isEmpty else {
            throw Violation(description: "\(what) has no field \(unknown.sorted())")
        }
        return object
    }

    private static func list(_ value: Any?, _ what: String) throws -> [Any] {
        guard let list = value as? [Any] else { throw Violation(description: "\(what) is no list") }
        return list
    }

    private static func text(_ value: Any?, _ what: String) throws -> String {
        guard let text = value as? String else { throw Violation(description: "\(what) is no string") }
        return text
    }

    private static func number(_ value: Any, _ what: String) throws -> Int {
        guard !(value is String), let number = value as? Int else {
            throw Violation(description: "\(what) is no number")
        }
        return number
    }

    private static func nanoseconds(_ value: Any?, _ what: String) throws -> UInt64 {
        guard let number = UInt64(try text(value, what)) else {
            throw Violation(description: "\(what) is no integer")
        }
        return number
    }

    private static func id(_ value: Any?, bytes: Int) throws -> String {
        let id = try text(value, "id")
        let isHex = id.utf8.allSatisfy {
            (48...57).contains($0) || (97...102).contains($0) || (65...70).contains($0)
        }
        guard isHex, id.utf8.count == 2 * bytes, id.contains(where: { $0 != "0" }) else {
            throw Violation(description: "\(id) is no id of \(bytes) bytes")
        }
        return id
    }
}
