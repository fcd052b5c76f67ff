import AMQP
import Foundation

/// AMQP properties and headers as JSON, as the journal keeps them.
///
/// Values that JSON has no form for are objects with one key that starts with `$`. Widths of numbers are lost: integers
/// come back as 64 bits. NUL, which `jsonb` does not hold, becomes the replacement character.
extension BasicProperties {
    private struct Fields: Codable {
        var contentType: String?
        var contentEncoding: String?
        var priority: UInt8?
        var correlationID: String?
        var replyTo: String?
        var messageID: String?
        var timestamp: UInt64?
        var type: String?
        var appID: String?

        enum CodingKeys: String, CodingKey {
            case contentType = "content_type"
            case contentEncoding = "content_encoding"
            case priority
            case correlationID = "correlation_id"
            case replyTo = "reply_to"
            case messageID = "message_id"
            case timestamp
            case type
            case appID = "app_id"
        }
    }

    /// The properties and the headers, each a JSON object.
    func json() throws -> (properties: String, headers: String) {
        let fields = Fields(
            contentType: contentType?.withoutNUL, contentEncoding: contentEncoding?.withoutNUL, priority: priority,
            correlationID: correlationID?.withoutNUL, replyTo: replyTo?.withoutNUL, messageID: messageID?.withoutNUL,
            timestamp: timestamp, type: type?.withoutNUL, appID: appID?.withoutNUL)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let table = Dictionary(
            headers.map { ($0.key.withoutNUL, JSONField(value: $0.value)) }, uniquingKeysWith: { first, _ in first })
        return (
            String(decoding: try encoder.encode(fields), as: UTF8.self),
            String(decoding: try encoder.encode(table), as: UTF8.self)
        )
    }

    /// Reads back what `json` wrote.
    init(properties: String, headers: String) throws {
        let decoder = JSONDecoder()
        let fields = try decoder.decode(Fields.self, from: Data(properties.utf8))
        let table = try decoder.decode([String: JSONField].self, from: Data(headers.utf8))
        self.init(
            contentType: fields.contentType, contentEncoding: fields.contentEncoding,
            headers: table.mapValues(\.value), isPersistent: true, priority: fields.priority,
            correlationID: fields.correlationID, replyTo: fields.replyTo, messageID: fields.messageID,
            timestamp: fields.timestamp, type: fields.type, appID: fields.appID)
    }
}

/// One header value.
private struct JSONField: Codable {
    var value: FieldValue

    private static let bytesKey = "$bytes"
    private static let timestampKey = "$timestamp"

    init(value: FieldValue) {
        self.value = value
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch value {
        case .bool(let value): try container.encode(value)
        case .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32: try container.encode(value.integer ?? 0)
        case .float(let value) where value.isFinite: try container.encode(value)
        case .double(let value) where value.isFinite: try container.encode(value)
        case .float(let value): try container.encode("\(value)")
        case .double(let value): try container.encode("\(value)")
        case .decimal(let scale, let value): try container.encode("\(value)e-\(scale)")
        case .string(let value): try container.encode(value.withoutNUL)
        case .bytes(let value): try container.encode([Self.bytesKey: Data(value).base64EncodedString()])
        case .timestamp(let value): try container.encode([Self.timestampKey: value])
        case .array(let values): try container.encode(values.map(JSONField.init(value:)))
        case .table(let table):
            let entries = table.map { ($0.key.withoutNUL, JSONField(value: $0.value)) }
            try container.encode(Dictionary(entries, uniquingKeysWith: { first, _ in first }))
        case .void: try container.encodeNil()
        }
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            value = .void
        } else if let bool = try? container.decode(Bool.self) {
            value = .bool(bool)
        } else if let integer = try? container.decode(Int64.self) {
            value = .int64(integer)
        } else if let double = try? container.decode(Double.self) {
            value = .double(double)
        } else if let string = try? container.decode(String.self) {
            value = .string(string)
        } else if let array = try? container.decode([JSONField].self) {
            value = .array(array.map(\.value))
        } else {
            let table = try container.decode([String: JSONField].self).mapValues(\.value)
            if table.count == 1, let text = table[Self.bytesKey]?.string, let data = Data(base64Encoded: text) {
                value = .bytes(Array(data))
            } else if table.count == 1, let seconds = table[Self.timestampKey]?.integer, seconds >= 0 {
                value = .timestamp(UInt64(seconds))
            } else {
                value = .table(table)
            }
        }
    }
}

extension String {
    /// PostgreSQL's text and `jsonb` cannot hold NUL.
    var withoutNUL: String {
        utf8.contains(0) ? String(map { $0 == "\0" ? "\u{FFFD}" : $0 }) : self
    }
}
