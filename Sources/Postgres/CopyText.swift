/// The text format of COPY: a line for each row, fields apart by tabs, `\N` for NULL ("COPY", File Formats).
enum CopyText {
    /// Large enough to keep the socket busy, small enough to stop soon when the task is cancelled.
    private static let chunkSize = 64 * 1024

    /// - Throws: `invalidParameter` for a value that cannot be sent or a row of another length.
    static func chunks(_ rows: [[any PostgresEncodable]], columnCount: Int) throws(PostgresError) -> [[UInt8]] {
        var chunks: [[UInt8]] = []
        var chunk: [UInt8] = []
        for (index, row) in rows.enumerated() {
            guard row.count == columnCount else {
                throw PostgresError(
                    .invalidParameter, "row \(index) has \(row.count) values for \(columnCount) columns")
            }
            for (position, value) in row.enumerated() {
                if position > 0 { chunk.append(UInt8(ascii: "\t")) }
                switch value.postgresParameter.value {
                case .null: chunk.append(contentsOf: "\\N".utf8)
                case .text(let text): append(text.utf8, to: &chunk)
                case .bytes(let bytes): append(Hex.encode(bytes), to: &chunk)
                case .invalid(let reason):
                    throw PostgresError(.invalidParameter, "row \(index), column \(position): \(reason)")
                }
            }
            chunk.append(UInt8(ascii: "\n"))
            if chunk.count >= chunkSize {
                chunks.append(chunk)
                chunk = []
            }
        }
        if !chunk.isEmpty { chunks.append(chunk) }
        return chunks
    }

    private static func append(_ text: some Sequence<UInt8>, to chunk: inout [UInt8]) {
        for byte in text {
            switch byte {
            case UInt8(ascii: "\\"): chunk.append(contentsOf: "\\\\".utf8)
            case UInt8(ascii: "\t"): chunk.append(contentsOf: "\\t".utf8)
            case UInt8(ascii: "\n"): chunk.append(contentsOf: "\\n".utf8)
            case UInt8(ascii: "\r"): chunk.append(contentsOf: "\\r".utf8)
            default: chunk.append(byte)
            }
        }
    }
}
