import CRabbitMQ

@testable import AMQP

/// Field tables as bytes, by the library.
enum TableWire {
    struct Failure: Error {
        let status: CInt
    }

    /// The bytes that the library makes of a table.
    static func encode(_ table: FieldTable) throws(Failure) -> [UInt8] {
        let arena = Arena()
        // Keeps the arena until the library is done with what is in it.
        defer { arena.reset() }
        var raw = arena.table(table)
        var bytes = [UInt8](repeating: 0, count: 131_072)
        var offset = 0
        let status = bytes.withUnsafeMutableBytes { memory in
            amqp_encode_table(amqp_bytes_t(len: memory.count, bytes: memory.baseAddress), &raw, &offset)
        }
        guard status == AMQP_STATUS_OK.rawValue else { throw Failure(status: status) }
        return Array(bytes[0..<offset])
    }

    /// What the library and we make of bytes; nil if the library refuses them.
    static func decode(_ bytes: [UInt8]) -> FieldTable? {
        var pool = amqp_pool_t()
        init_amqp_pool(&pool, 4_096)
        defer { empty_amqp_pool(&pool) }
        var bytes = bytes
        return bytes.withUnsafeMutableBytes { memory in
            var raw = amqp_table_t()
            var offset = 0
            let encoded = amqp_bytes_t(len: memory.count, bytes: memory.baseAddress)
            guard amqp_decode_table(encoded, &pool, &raw, &offset) == AMQP_STATUS_OK.rawValue else { return nil }
            return FieldTable(raw)
        }
    }

    /// The bytes of a table with one value that has a length, such as an array (`A`) or a table (`F`).
    static func table(kind: Unicode.Scalar, content: [UInt8]) -> [UInt8] {
        let value = entry(kind, length: content.count) + content
        return length(value.count) + value
    }

    /// The name `k`, a kind and a length.
    static func entry(_ kind: Unicode.Scalar, length count: Int) -> [UInt8] {
        [1, UInt8(ascii: "k")] + element(kind, length: count)
    }

    /// A kind and a length.
    static func element(_ kind: Unicode.Scalar, length count: Int) -> [UInt8] {
        [UInt8(ascii: kind)] + length(count)
    }

    private static func length(_ count: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt32(count).bigEndian) { Array($0) }
    }
}
