/// Headers and arguments: names (1 to 128 bytes) to typed values.
package typealias FieldTable = [String: FieldValue]

/// A value of a field table, in RabbitMQ's reading of the type letters (AMQP 0-9-1 section 4.2.1 with its errata).
///
/// Tables are nested at most `FieldValue.maxDepth` deep. Deeper values that arrive are replaced by `void`; deeper
/// values are refused when sent.
package indirect enum FieldValue: Sendable, Hashable {
    case bool(Bool)
    case int8(Int8)
    case int16(Int16)
    case int32(Int32)
    case int64(Int64)
    case uint8(UInt8)
    case uint16(UInt16)
    case uint32(UInt32)
    case float(Float)
    case double(Double)
    /// `value` times ten to the power of minus `scale`.
    case decimal(scale: UInt8, value: UInt32)
    /// A long string; what arrives under this type without being UTF-8 becomes `bytes`.
    case string(String)
    case bytes([UInt8])
    /// Seconds since 1970.
    case timestamp(UInt64)
    case array([FieldValue])
    case table(FieldTable)
    case void

    /// How deep arrays and tables may nest. RabbitMQ's own `x-death` needs three.
    package static let maxDepth = 16
    /// How many values one table may hold in all, nested ones included; the rest of what arrives is left out.
    package static let maxCount = 4_096

    /// The text, if this is one.
    package var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    /// The number, if this is an integer of any width or a timestamp that fits.
    package var integer: Int64? {
        switch self {
        case .int8(let value): Int64(value)
        case .int16(let value): Int64(value)
        case .int32(let value): Int64(value)
        case .int64(let value): value
        case .uint8(let value): Int64(value)
        case .uint16(let value): Int64(value)
        case .uint32(let value): Int64(value)
        case .timestamp(let value): Int64(exactly: value)
        default: nil
        }
    }

    /// The elements, if this is an array.
    package var array: [FieldValue]? {
        if case .array(let value) = self { value } else { nil }
    }

    /// The entries, if this is a table.
    package var table: FieldTable? {
        if case .table(let value) = self { value } else { nil }
    }
}

extension FieldValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    /// A 64-bit integer, which the broker takes wherever it expects a number.
    package init(integerLiteral value: Int64) { self = .int64(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(floatLiteral value: Double) { self = .double(value) }
    package init(arrayLiteral elements: FieldValue...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, FieldValue)...) {
        self = .table(FieldTable(elements, uniquingKeysWith: { _, last in last }))
    }
    package init(nilLiteral: ()) { self = .void }
}
