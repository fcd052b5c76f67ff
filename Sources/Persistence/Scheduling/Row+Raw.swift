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
}
