/// Base64 of RFC 4648 section 4, here to keep message building free of larger libraries.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// Encodes with padding, in one line.
    static func encode(_ bytes: some Collection<UInt8>) -> [UInt8] {
        var encoded: [UInt8] = []
        encoded.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = bytes.startIndex
        while index != bytes.endIndex {
            var group: UInt32 = 0
            var count = 0
            while count < 3, index != bytes.endIndex {
                group |= UInt32(bytes[index]) << (16 - 8 * UInt32(count))
                bytes.formIndex(after: &index)
                count += 1
            }
            for position in 0..<4 {
                let sextet = Int(group >> (18 - 6 * UInt32(position)) & 0x3f)
                encoded.append(position <= count ? alphabet[sextet] : UInt8(ascii: "="))
            }
        }
        return encoded
    }

    /// Encodes in lines of 76 characters, each ended by CRLF (RFC 2045 section 6.8).
    static func encodeLines(_ bytes: [UInt8]) -> [UInt8] {
        var lines: [UInt8] = []
        // 57 bytes make 76 characters.
        for start in stride(from: 0, to: bytes.count, by: 57) {
            lines += encode(bytes[start..<min(start + 57, bytes.count)])
            lines += [0x0d, 0x0a]
        }
        return lines
    }
}
