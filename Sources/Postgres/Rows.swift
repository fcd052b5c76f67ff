/// What a statement answered: its rows, and how many rows it touched.
package struct Rows: Sendable, RandomAccessCollection {
    /// A result's bytes, copied once out of the library into one array.
    final class Storage: Sendable {
        let names: [String]
        let types: [PostgresType]
        let bytes: [UInt8]
        /// Where each field ends, row by row; it begins where the one before ends. Negative marks NULL: the complement
        /// of the end.
        let ends: [Int]
        let count: Int

        init(names: [String], types: [PostgresType], bytes: [UInt8], ends: [Int], count: Int) {
            self.names = names
            self.types = types
            self.bytes = bytes
            self.ends = ends
            self.count = count
        }

        /// A field; nil for NULL.
        func cell(row: Int, column: Int) -> PostgresCell? {
            let index = row * names.count + column
            let end = ends[index]
            guard end >= 0 else { return nil }
            let start = index == 0 ? 0 : ends[index - 1] < 0 ? ~ends[index - 1] : ends[index - 1]
            return PostgresCell(bytes: bytes[start..<end], type: types[column], column: names[column])
        }

        static let empty = Storage(names: [], types: [], bytes: [], ends: [], count: 0)
    }

    let storage: Storage
    /// Rows inserted, updated, deleted, selected or copied.
    package let affectedRows: Int
    /// What the server did, such as `UPDATE` or `COMMIT`.
    package let command: String

    init(storage: Storage = .empty, affectedRows: Int = 0, command: String = "") {
        self.storage = storage
        self.affectedRows = affectedRows
        self.command = command
    }

    package var startIndex: Int { 0 }
    package var endIndex: Int { storage.count }

    package subscript(position: Int) -> Row {
        precondition(indices.contains(position), "row \(position) of \(storage.count)")
        return Row(storage: storage, index: position)
    }

    /// The names of the columns, in order.
    package var columns: [String] { storage.names }
}

/// One row of a result; it keeps the result alive.
package struct Row: Sendable {
    let storage: Rows.Storage
    let index: Int

    /// Reads a column by its name; the first one, if several share it.
    ///
    /// - Throws: `decodingFailed` if there is no such column, the field is NULL and the type is not optional, or the
    ///   field does not read as the type.
    package func decode<Value: PostgresDecodable>(
        _ column: String, as type: Value.Type = Value.self
    ) throws(PostgresError) -> Value {
        guard let position = storage.names.firstIndex(of: column) else {
            throw PostgresError(.decodingFailed, "the result has no column \(column)")
        }
        return try decode(position, as: type)
    }

    /// Reads a column by its position, from 0.
    package func decode<Value: PostgresDecodable>(
        _ position: Int, as type: Value.Type = Value.self
    ) throws(PostgresError) -> Value {
        guard storage.names.indices.contains(position) else {
            throw PostgresError(.decodingFailed, "the result has no column at position \(position)")
        }
        if let cell = storage.cell(row: index, column: position) { return try Value(cell: cell) }
        if let value = Value.valueOfNull { return value }
        var error = PostgresError(.decodingFailed, "NULL cannot be read as \(Value.self)")
        error.column = storage.names[position]
        throw error
    }

    /// Reads the first columns in order: `let (id, name) = try row.decode(Int.self, String.self)`.
    package func decode<each Value: PostgresDecodable>(
        _ types: repeat (each Value).Type
    ) throws(PostgresError) -> (repeat each Value) {
        var position = -1
        func next<One: PostgresDecodable>(_ type: One.Type) throws(PostgresError) -> One {
            position += 1
            return try decode(position, as: type)
        }
        return (repeat try next(each types))
    }

    /// Reads a column as the type the context asks for: `let id: Int = try row["id"]`.
    package subscript<Value: PostgresDecodable>(column: String) -> Value {
        get throws(PostgresError) { try decode(column, as: Value.self) }
    }
}
