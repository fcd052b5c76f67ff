import Logging

/// Builds one JSON object on one line.
struct JSONLine {
    private var text = "{"

    /// The object, closed and with its line feed.
    var finished: String { text + "}\n" }

    mutating func add(_ key: String, _ value: String) {
        name(key)
        Self.append(value, to: &text)
    }

    /// A dictionary becomes one entry for each of its leaves, with dotted keys.
    mutating func add(_ key: String, _ value: Logger.MetadataValue) {
        if case .dictionary(let entries) = value {
            for (inner, value) in entries.sorted(by: { $0.key < $1.key }) { add(key + "." + inner, value) }
            return
        }
        name(key)
        Self.append(value, to: &text)
    }

    private mutating func name(_ key: String) {
        if text.utf8.count > 1 { text += "," }
        Self.append(key, to: &text)
        text += ":"
    }

    private static func append(_ value: Logger.MetadataValue, to text: inout String) {
        switch value {
        case .string(let string):
            append(string, to: &text)
        case .stringConvertible(let value):
            append(value, to: &text)
        case .array(let values):
            text += "["
            for (index, value) in values.enumerated() {
                if index > 0 { text += "," }
                append(value, to: &text)
            }
            text += "]"
        case .dictionary(let entries):
            text += "{"
            for (index, (key, value)) in entries.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { text += "," }
                append(key, to: &text)
                text += ":"
                append(value, to: &text)
            }
            text += "}"
        }
    }

    /// Numbers and claims keep their type, so that log stores can compare them.
    private static func append(_ value: any CustomStringConvertible, to text: inout String) {
        switch value {
        case let number as any BinaryInteger: text += number.description
        case let number as Double where number.isFinite: text += number.description
        case let claim as Bool: text += claim ? "true" : "false"
        default: append(value.description, to: &text)
        }
    }

    /// A JSON string (RFC 8259, section 7): quote, backslash and control characters are escaped, so a line stays a line.
    private static func append(_ string: String, to text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}":
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
