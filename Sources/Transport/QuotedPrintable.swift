/// Quoted-printable of RFC 2045 section 6.7.
enum QuotedPrintable {
    /// Encodes text: line ends of any kind become CRLF, lines stay within 76 characters, the result ends with CRLF.
    ///
    /// A dot or `From ` at a line's start is encoded too, so that no relay needs to stuff or quote it.
    static func encode(_ text: String) -> [UInt8] {
        var encoded: [UInt8] = []
        for line in lines(Array(text.utf8)) {
            append(line, to: &encoded)
            encoded += [0x0d, 0x0a]
        }
        return encoded
    }

    private static func lines(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var lines: [ArraySlice<UInt8>] = []
        var start = 0
        var index = 0
        while index < bytes.count {
            if bytes[index] == 0x0d || bytes[index] == 0x0a {
                lines.append(bytes[start..<index])
                if bytes[index] == 0x0d, index + 1 < bytes.count, bytes[index + 1] == 0x0a { index += 1 }
                start = index + 1
            }
            index += 1
        }
        if start < bytes.count || lines.isEmpty { lines.append(bytes[start...]) }
        return lines
    }

    private static func append(_ line: ArraySlice<UInt8>, to encoded: inout [UInt8]) {
        let startsLikeEnvelope = line.starts(with: "From ".utf8)
        var column = 0
        for index in line.indices {
            let byte = line[index]
            let isFirst = index == line.startIndex
            let isLast = index == line.endIndex - 1
            let isPlain: Bool
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\t"): isPlain = !isLast
            case UInt8(ascii: "="): isPlain = false
            case UInt8(ascii: "."): isPlain = column != 0
            case UInt8(ascii: "F"): isPlain = !(isFirst && startsLikeEnvelope)
            default: isPlain = byte > 0x20 && byte < 0x7f
            }
            let width = isPlain ? 1 : 3
            // One column is left for the "=" of a soft break, unless the line ends here.
            if column + width > (isLast ? 76 : 75) {
                encoded += [UInt8(ascii: "="), 0x0d, 0x0a]
                column = 0
            }
            if isPlain, !(byte == UInt8(ascii: ".") && column == 0) {
                encoded.append(byte)
                column += 1
            } else {
                encoded.append(UInt8(ascii: "="))
                encoded.append(hexDigits[Int(byte >> 4)])
                encoded.append(hexDigits[Int(byte & 15)])
                column += 3
            }
        }
    }

    private static let hexDigits = Array("0123456789ABCDEF".utf8)
}
