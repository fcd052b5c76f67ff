package import FoundationEssentials

/// A value that can be read from a result.
///
/// A type whose raw value is decodable only has to declare that it conforms.
package protocol PostgresDecodable: Sendable {
    /// Reads a value that is not NULL.
    ///
    /// - Throws: `decodingFailed` without the text that did not fit.
    init(cell: PostgresCell) throws(PostgresError)
    /// What NULL becomes; nil if the type has no place for it.
    static var valueOfNull: Self? { get }
}

/// One field of a row, as the server sent it.
package struct PostgresCell: Sendable {
    /// The text form in UTF-8.
    package let bytes: ArraySlice<UInt8>
    /// The column's type.
    package let type: PostgresType
    /// The column's name.
    package let column: String

    /// The text form.
    package var text: String { String(decoding: bytes, as: UTF8.self) }

    /// The error for a field that does not fit; it names the column and never the content.
    package func mismatch(_ expected: String) -> PostgresError {
        var error = PostgresError(
            .decodingFailed, "a value of server type \(type.rawValue) cannot be read as \(expected)")
        error.column = column
        return error
    }
}

extension PostgresDecodable {
    package static var valueOfNull: Self? { nil }
}

extension PostgresDecodable where Self: RawRepresentable, RawValue: PostgresDecodable {
    package init(cell: PostgresCell) throws(PostgresError) {
        guard let value = Self(rawValue: try RawValue(cell: cell)) else { throw cell.mismatch("\(Self.self)") }
        self = value
    }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    package init(cell: PostgresCell) throws(PostgresError) {
        self = .some(try Wrapped(cell: cell))
    }

    package static var valueOfNull: Self? { .some(.none) }
}

extension String: PostgresDecodable {
    /// The text form of any type.
    package init(cell: PostgresCell) throws(PostgresError) {
        self = cell.text
    }
}

extension Int: PostgresDecodable {
    package init(cell: PostgresCell) throws(PostgresError) {
        guard let value = Int(cell.text) else { throw cell.mismatch("Int") }
        self = value
    }
}

extension Int64: PostgresDecodable {
    package init(cell: PostgresCell) throws(PostgresError) {
        guard let value = Int64(cell.text) else { throw cell.mismatch("Int64") }
        self = value
    }
}

extension Int32: PostgresDecodable {
    package init(cell: PostgresCell) throws(PostgresError) {
        guard let value = Int32(cell.text) else { throw cell.mismatch("Int32") }
        self = value
    }
}

extension Double: PostgresDecodable {
    package init(cell: PostgresCell) throws(PostgresError) {
        guard let value = Double(cell.text) else { throw cell.mismatch("Double") }
        self = value
    }
}

extension Bool: PostgresDecodable {
    package init(cell: PostgresCell) throws(PostgresError) {
        switch cell.bytes.first {
        case UInt8(ascii: "t")? where cell.bytes.count == 1: self = true
        case UInt8(ascii: "f")? where cell.bytes.count == 1: self = false
        default: throw cell.mismatch("Bool")
        }
    }
}

extension UUID: PostgresDecodable {
    package init(cell: PostgresCell) throws(PostgresError) {
        guard let value = UUID(uuidString: cell.text) else { throw cell.mismatch("UUID") }
        self = value
    }
}

extension Date: PostgresDecodable {
    /// Reads a `timestamptz`. The infinities of the server have no counterpart and are refused.
    package init(cell: PostgresCell) throws(PostgresError) {
        guard let timestamp = Timestamp(text: cell.bytes) else { throw cell.mismatch("Date") }
        self = timestamp.date
    }
}

extension Array: PostgresDecodable where Element: PostgresArrayElement {
    package init(cell: PostgresCell) throws(PostgresError) {
        self = try Element.array(from: cell)
    }
}
