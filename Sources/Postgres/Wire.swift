import CLibPQ

/// Calls of libpq that queue a command in pipeline mode; false if the connection is broken.
enum Wire {
    static func prepare(_ connection: OpaquePointer, name: String, key: StatementCache.Key) -> Bool {
        PQsendPrepare(connection, name, key.text, CInt(key.types.count), key.types.map(\.rawValue)) == 1
    }

    /// Results come in the text format.
    static func execute(_ connection: OpaquePointer, _ sql: SQL, name: String?) -> Bool {
        let count = CInt(sql.parameters.count)
        return withArguments(sql.parameters) { values, lengths, formats in
            if let name {
                PQsendQueryPrepared(connection, name, count, values, lengths, formats, 0) == 1
            } else {
                PQsendQueryParams(
                    connection, sql.text, count, sql.parameters.map(\.type.rawValue), values, lengths, formats, 0) == 1
            }
        }
    }

    /// Lays all values out in one buffer, each with a NUL behind it.
    private static func withArguments<Result>(
        _ parameters: [PostgresParameter],
        _ body: (UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<CInt>?, UnsafePointer<CInt>?) -> Result
    ) -> Result {
        if parameters.isEmpty { return body(nil, nil, nil) }
        var buffer: [UInt8] = []
        var starts: [Int?] = []
        var lengths: [CInt] = []
        var formats: [CInt] = []
        for parameter in parameters {
            let start = buffer.count
            switch parameter.value {
            case .null, .invalid:  // Invalid values were refused before.
                starts.append(nil)
                formats.append(0)
            case .text(let text):
                buffer.append(contentsOf: text.utf8)
                starts.append(start)
                formats.append(0)
            case .bytes(let bytes):
                buffer.append(contentsOf: bytes)
                starts.append(start)
                formats.append(1)
            }
            lengths.append(CInt(buffer.count - start))
            buffer.append(0)
        }
        return buffer.withUnsafeBytes { buffer in
            let base = buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
            let values = starts.map { start in start.flatMap { start in base.map { $0 + start } } }
            return body(values, lengths, formats)
        }
    }
}
