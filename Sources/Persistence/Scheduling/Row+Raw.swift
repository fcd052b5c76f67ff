import Domain
import Messaging
import Postgres

extension Row {
    /// Reads a text column as an identifier or an enumeration of ours.
    func decodeRaw<Value: RawRepresentable<String>>(_ column: String, as type: Value.Type = Value.self) throws -> Value
    {
        guard let value = try Value(rawValue: decode(column, as: String.self)) else {
            throw PostgresError(.decodingFailed, "column \(column) does not hold a \(Value.self)")
        }
        return value
    }

    /// The same for a column that may be NULL.
    func decodeRawIfPresent<Value: RawRepresentable<String>>(
        _ column: String, as type: Value.Type = Value.self
    ) throws -> Value? {
        try decode(column, as: String?.self) == nil ? nil : decodeRaw(column, as: type)
    }

    /// Reads a `jsonb` column that holds our own JSON.
    func decodeJSON<Value: Decodable>(_ column: String, as type: Value.Type = Value.self) throws -> Value {
        try WireJSON.decode(type, from: decode(column, as: String.self).utf8)
    }
}

extension JSONText {
    /// A value in the form of all our JSON.
    init(wire value: some Encodable) throws {
        self.init(String(decoding: try WireJSON.encode(value), as: UTF8.self))
    }
}

extension Person {
    /// Reads `customer_name`, `customer_email` and `customer_phone`.
    init(row: Row) throws {
        self.init(
            name: try row.decode("customer_name"), email: try row.decode("customer_email"),
            phone: try row.decode("customer_phone"))
    }
}
