import AMQP
import Foundation

/// AMQP properties and headers as JSON, as the journal keeps them.
///
/// Every value comes back as it was, with its type. Values that JSON has no form of their own for are objects with one key
/// that starts with `$`; an integer without such a key has 64 bits, a number with a fraction is a double. NUL, which
/// `jsonb` does not hold, becomes the replacement character in names and properties.
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
        var isPersistent: Bool?
        var expiration: String?
        var userID: String?

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
            case isPersistent = "persistent"
            case expiration
            case userID = "user_id"
        }
    }

    /// The properties and the headers, each a JSON object.
    func json() throws -> (properties: String, headers: String) {
        let fields = Fields(
            contentType: contentType?.withoutNUL, contentEncoding: contentEncoding?.withoutNUL, priority: priority,
            correlationID: correlationID?.withoutNUL, replyTo: replyTo?.withoutNUL, messageID: messageID?.withoutNUL,
            timestamp: timestamp, type: type?.withoutNUL, appID: appID?.withoutNUL,
            isPersistent: isPersistent, expiration: expiration?.withoutNUL, userID: userID?.withoutNUL)
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
            headers: table.mapValues(\.value), isPersistent: fields.isPersistent ?? true, priority: fields.priority,
            correlationID: fields.correlationID, replyTo: fields.replyTo, expiration: fields.expiration,
            messageID: fields.messageID, timestamp: fields.timestamp, type: fields.type, userID: fields.userID,
            appID: fields.appID)
    }
}

/// One header value.
private struct JSONField: Codable {
    var value: FieldValue

    /// What the object's one key says of the value in it.
    private enum Tag: String {
        case int8 = "$int8"
        case int16 = "$int16"
        case int32 = "$int32"
        case uint8 = "$uint8"
        case uint16 = "$uint16"
        case uint32 = "$uint32"
        /// The bits of a number as text, because JSON knows no infinity, and because 2.0 reads back as an integer.
        case float = "$float"
        case double = "$double"
        /// Scale and value.
        case decimal = "$decimal"
        /// Base64.
        case bytes = "$bytes"
        /// Text with NUL in it, as base64 of its UTF-8.
        case text = "$text"
        case timestamp = "$timestamp"
        /// A table whose only key starts with `$`, so that it is not taken for one of these.
        case table = "$table"
    }

    init(value: FieldValue) {
        self.value = value
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        func tag(_ tag: Tag, _ value: some Encodable) throws { try container.encode([tag.rawValue: value]) }
        switch value {
        case .bool(let value): try container.encode(value)
        case .int64(let value): try container.encode(value)
        case .int8(let value): try tag(.int8, value)
        case .int16(let value): try tag(.int16, value)
        case .int32(let value): try tag(.int32, value)
        case .uint8(let value): try tag(.uint8, value)
        case .uint16(let value): try tag(.uint16, value)
        case .uint32(let value): try tag(.uint32, value)
        case .float(let value): try tag(.float, String(value.bitPattern))
        case .double(let value) where value.isFinite && value != value.rounded(): try container.encode(value)
        case .double(let value): try tag(.double, String(value.bitPattern))
        case .decimal(let scale, let value): try tag(.decimal, [UInt32(scale), value])
        case .string(let value) where value.utf8.contains(0):
            try tag(.text, Data(value.utf8).base64EncodedString())
        case .string(let value): try container.encode(value)
        case .bytes(let value): try tag(.bytes, Data(value).base64EncodedString())
        case .timestamp(let value):
            if let number = Int64(exactly: value) {
                try tag(.timestamp, number)
            } else {
                try tag(.timestamp, String(value))
            }
        case .array(let values): try container.encode(values.map(JSONField.init(value:)))
        case .table(let table):
            let entries = Dictionary(
                table.map { ($0.key.withoutNUL, JSONField(value: $0.value)) }, uniquingKeysWith: { first, _ in first })
            if entries.count == 1, entries.keys.first?.hasPrefix("$") == true {
                try tag(.table, entries)
            } else {
                try container.encode(entries)
            }
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
            let table = try container.decode([String: JSONField].self)
            value = try Self.tagged(table, in: container) ?? .table(table.mapValues(\.value))
        }
    }

    /// What an object stands for that has one key of ours.
    ///
    /// - Returns: nil if it has not, or no value that goes with the key.
    private static func tagged(
        _ table: [String: JSONField], in container: any SingleValueDecodingContainer
    ) throws -> FieldValue? {
        guard table.count == 1, let (name, field) = table.first, let tag = Tag(rawValue: name) else { return nil }
        let integer = field.value.integer
        let text = field.value.string
        switch tag {
        case .int8: return integer.flatMap(Int8.init(exactly:)).map(FieldValue.int8)
        case .int16: return integer.flatMap(Int16.init(exactly:)).map(FieldValue.int16)
        case .int32: return integer.flatMap(Int32.init(exactly:)).map(FieldValue.int32)
        case .uint8: return integer.flatMap(UInt8.init(exactly:)).map(FieldValue.uint8)
        case .uint16: return integer.flatMap(UInt16.init(exactly:)).map(FieldValue.uint16)
        case .uint32: return integer.flatMap(UInt32.init(exactly:)).map(FieldValue.uint32)
        case .float: return text.flatMap { UInt32($0) }.map { FieldValue.float(Float(bitPattern: $0)) }
        case .double: return text.flatMap { UInt64($0) }.map { FieldValue.double(Double(bitPattern: $0)) }
        case .decimal:
            guard let parts = field.value.array?.compactMap(\.integer), parts.count == 2,
                let scale = UInt8(exactly: parts[0]), let number = UInt32(exactly: parts[1])
            else { return nil }
            return .decimal(scale: scale, value: number)
        case .bytes: return text.flatMap { Data(base64Encoded: $0) }.map { FieldValue.bytes(Array($0)) }
        case .text:
            return text.flatMap { Data(base64Encoded: $0) }.map {
                FieldValue.string(String(decoding: $0, as: UTF8.self))
            }
        case .timestamp:
            return (integer.flatMap(UInt64.init(exactly:)) ?? text.flatMap { UInt64($0) }).map(FieldValue.timestamp)
        case .table:
            // Read anew, because the inner table must not be taken for a tag.
            let inner = try? container.decode([String: [String: JSONField]].self).values.first
            return inner.map { .table($0.mapValues(\.value)) }
        }
    }
}

extension String {
    /// PostgreSQL's text and `jsonb` cannot hold NUL.
    var withoutNUL: String {
        utf8.contains(0) ? String(map { $0 == "\0" ? "\u{FFFD}" : $0 }) : self
    }
}
