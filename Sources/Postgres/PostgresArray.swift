package import FoundationEssentials

/// A type whose arrays can be bound and read.
///
/// `UInt8` conforms too: its arrays are `bytea`. Swift allows one conditional conformance of `Array`, so the element
/// decides what an array of it is on the server.
package protocol PostgresArrayElement: Sendable {
    static var postgresArrayType: PostgresType { get }
    static func parameter(of array: [Self]) -> PostgresParameter
    static func array(from cell: PostgresCell) throws(PostgresError) -> [Self]
}

extension PostgresArrayElement where Self: PostgresEncodable & PostgresDecodable {
    package static func parameter(of array: [Self]) -> PostgresParameter {
        var text = "{"
        for (index, element) in array.enumerated() {
            if index > 0 { text += "," }
            switch element.postgresParameter.value {
            case .null: text += "NULL"
            case .text(let value): ArrayText.append(value, to: &text)
            case .bytes, .invalid:
                return PostgresParameter(
                    .invalid("an element of the array cannot be sent"), type: postgresArrayType)
            }
        }
        return PostgresParameter(.text(text + "}"), type: postgresArrayType)
    }

    package static func array(from cell: PostgresCell) throws(PostgresError) -> [Self] {
        guard let elements = ArrayText.elements(cell.bytes) else { throw cell.mismatch("an array of one dimension") }
        var array: [Self] = []
        array.reserveCapacity(elements.count)
        for element in elements {
            if let element {
                array.append(try Self(cell: PostgresCell(bytes: element[...], type: cell.type, column: cell.column)))
            } else if let null = valueOfNull {
                array.append(null)
            } else {
                throw cell.mismatch("an array without NULL")
            }
        }
        return array
    }
}

extension String: PostgresArrayElement {
    package static var postgresArrayType: PostgresType { .inferred }
}

extension Int: PostgresArrayElement {
    package static var postgresArrayType: PostgresType { .int8Array }
}

extension Int32: PostgresArrayElement {
    package static var postgresArrayType: PostgresType { .int4Array }
}

extension UUID: PostgresArrayElement {
    package static var postgresArrayType: PostgresType { .uuidArray }
}

extension UInt8: PostgresArrayElement {
    package static var postgresArrayType: PostgresType { .bytea }

    package static func parameter(of array: [UInt8]) -> PostgresParameter {
        PostgresParameter(.bytes(array), type: .bytea)
    }

    package static func array(from cell: PostgresCell) throws(PostgresError) -> [UInt8] {
        guard let bytes = Hex.decode(cell.bytes) else { throw cell.mismatch("bytea") }
        return bytes
    }
}

/// The server's text form of a one-dimensional array: `{plain,"with \"quotes\"",NULL}`.
enum ArrayText {
    static func append(_ element: String, to text: inout String) {
        // Quoting is always allowed, and spares the rules about when it is needed.
        text += "\""
        if element.utf8.contains(where: { $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }) {
            for scalar in element.unicodeScalars {
                if scalar == "\"" || scalar == "\\" { text += "\\" }
                text.unicodeScalars.append(scalar)
            }
        } else {
            text += element
        }
        text += "\""
    }

    /// The elements, nil for NULL; nil as a whole for more dimensions, other lower bounds or malformed text.
    static func elements(_ bytes: ArraySlice<UInt8>) -> [[UInt8]?]? {
        guard bytes.count >= 2, bytes.first == UInt8(ascii: "{"), bytes.last == UInt8(ascii: "}") else { return nil }
        let body = bytes.dropFirst().dropLast()
        if body.isEmpty { return [] }
        var elements: [[UInt8]?] = []
        var element: [UInt8] = []
        var isQuoted = false
        var wasQuoted = false
        var index = body.startIndex
        func finish() {
            elements.append(!wasQuoted && element == Array("NULL".utf8) ? nil : element)
            element = []
            wasQuoted = false
        }
        while index < body.endIndex {
            let byte = body[index]
            switch byte {
            case UInt8(ascii: "\\"):
                index += 1
                guard index < body.endIndex else { return nil }
                element.append(body[index])
            case UInt8(ascii: "\""):
                isQuoted.toggle()
                wasQuoted = true
            case UInt8(ascii: ",") where !isQuoted:
                finish()
            case UInt8(ascii: "{") where !isQuoted, UInt8(ascii: "}") where !isQuoted:
                return nil
            default:
                element.append(byte)
            }
            index += 1
        }
        guard !isQuoted else { return nil }
        finish()
        return elements
    }
}

/// The text form of `bytea`: `\x` and two hexadecimal digits for each byte.
enum Hex {
    static func encode(_ bytes: [UInt8]) -> [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        var text = Array("\\x".utf8)
        text.reserveCapacity(2 + bytes.count * 2)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return text
    }

    static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard text.starts(with: "\\x".utf8), text.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 2 - 1)
        var index = text.startIndex + 2
        while index < text.endIndex {
            guard let high = value(text[index]), let low = value(text[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
            index += 2
        }
        return bytes
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x61...0x66: digit - 0x61 + 10
        default: nil
        }
    }
}
