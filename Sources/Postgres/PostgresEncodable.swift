package import FoundationEssentials

/// A value that can be bound to a statement.
///
/// A type whose raw value is encodable only has to declare that it conforms.
package protocol PostgresEncodable: Sendable {
    /// The type its parameters are declared with, NULL included.
    static var postgresType: PostgresType { get }
    /// The value as a parameter. Values that cannot be sent say so there, and the statement fails.
    var postgresParameter: PostgresParameter { get }
}

extension PostgresEncodable where Self: RawRepresentable, RawValue: PostgresEncodable {
    package static var postgresType: PostgresType { RawValue.postgresType }
    package var postgresParameter: PostgresParameter { rawValue.postgresParameter }
}

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
    package static var postgresType: PostgresType { Wrapped.postgresType }
    package var postgresParameter: PostgresParameter {
        self?.postgresParameter ?? PostgresParameter(.null, type: Wrapped.postgresType)
    }
}

extension String: PostgresEncodable {
    package static var postgresType: PostgresType { .inferred }
    package var postgresParameter: PostgresParameter {
        // The server's text cannot hold NUL, and the C interface would cut the value there without a word.
        utf8.contains(0)
            ? PostgresParameter(.invalid("text must not contain NUL"), type: .inferred)
            : PostgresParameter(.text(self), type: .inferred)
    }
}

extension Int: PostgresEncodable {
    package static var postgresType: PostgresType { .int8 }
    package var postgresParameter: PostgresParameter { PostgresParameter(.text(String(self)), type: .int8) }
}

extension Int64: PostgresEncodable {
    package static var postgresType: PostgresType { .int8 }
    package var postgresParameter: PostgresParameter { PostgresParameter(.text(String(self)), type: .int8) }
}

extension Int32: PostgresEncodable {
    package static var postgresType: PostgresType { .int4 }
    package var postgresParameter: PostgresParameter { PostgresParameter(.text(String(self)), type: .int4) }
}

extension Double: PostgresEncodable {
    package static var postgresType: PostgresType { .float8 }
    /// Swift's shortest form that reads back as the same number; `inf` and `nan` are words the server knows.
    package var postgresParameter: PostgresParameter { PostgresParameter(.text(String(self)), type: .float8) }
}

extension Bool: PostgresEncodable {
    package static var postgresType: PostgresType { .bool }
    package var postgresParameter: PostgresParameter { PostgresParameter(.text(self ? "t" : "f"), type: .bool) }
}

extension UUID: PostgresEncodable {
    package static var postgresType: PostgresType { .uuid }
    package var postgresParameter: PostgresParameter { PostgresParameter(.text(uuidString), type: .uuid) }
}

extension Date: PostgresEncodable {
    package static var postgresType: PostgresType { .timestamptz }
    /// Rounded to the microsecond, which is what the server keeps.
    package var postgresParameter: PostgresParameter {
        guard let timestamp = Timestamp(self) else {
            return PostgresParameter(.invalid("the date lies outside what a timestamptz can hold"), type: .timestamptz)
        }
        return PostgresParameter(.text(timestamp.text), type: .timestamptz)
    }
}

extension Array: PostgresEncodable where Element: PostgresArrayElement {
    package static var postgresType: PostgresType { Element.postgresArrayType }
    package var postgresParameter: PostgresParameter { Element.parameter(of: self) }
}
