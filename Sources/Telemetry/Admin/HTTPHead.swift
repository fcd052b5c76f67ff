/// The little of HTTP/1.1 (RFC 9112) that the admin endpoint understands: a request line, header fields that it skips,
/// and an empty line.
enum HTTPHead: Equatable {
    /// The empty line has not come yet.
    case incomplete
    /// Not HTTP/1.0 or 1.1.
    case malformed
    case request(method: String, path: String)

    /// A head longer than this is refused with 431.
    static let maxBytes = 8_192

    /// - Parameter bytes: what has come so far, from the start of the connection.
    static func parse(_ bytes: [UInt8]) -> HTTPHead {
        guard let end = endOfHead(bytes) else { return .incomplete }
        let line = bytes[..<end].prefix { $0 != 10 && $0 != 13 }
        let parts = line.split(separator: 32, omittingEmptySubsequences: false)
        guard parts.count == 3, line.allSatisfy({ $0 > 31 && $0 < 127 }) else { return .malformed }
        let version = String(decoding: parts[2], as: UTF8.self)
        let target = String(decoding: parts[1], as: UTF8.self)
        guard version == "HTTP/1.1" || version == "HTTP/1.0", target.hasPrefix("/"), !parts[0].isEmpty else {
            return .malformed
        }
        let path = target.prefix { $0 != "?" }
        return .request(method: String(decoding: parts[0], as: UTF8.self), path: String(path))
    }

    /// Where the empty line starts; bare line feeds count too (RFC 9112, section 2.2).
    private static func endOfHead(_ bytes: [UInt8]) -> Int? {
        var lineStart = 0
        for (index, byte) in bytes.enumerated() where byte == 10 {
            let lineEnd = index > lineStart && bytes[index - 1] == 13 ? index - 1 : index
            if lineEnd == lineStart, lineStart > 0 { return lineStart }
            lineStart = index + 1
        }
        return nil
    }
}

/// One whole response; the connection is closed after it.
struct HTTPResponse: Equatable {
    var status: Int
    var contentType = "text/plain; charset=utf-8"
    var body: String
    /// Whether the body is left out, as for HEAD.
    var isHeadOnly = false

    var bytes: [UInt8] {
        var head = "HTTP/1.1 \(status) \(Self.reasons[status] ?? "Status")\r\n"
        head += "Content-Type: \(contentType)\r\nContent-Length: \(body.utf8.count)\r\n"
        head += "Cache-Control: no-store\r\nConnection: close\r\n"
        if status == 405 { head += "Allow: GET, HEAD\r\n" }
        return Array((head + "\r\n").utf8) + (isHeadOnly ? [] : Array(body.utf8))
    }

    private static let reasons = [
        200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
        431: "Request Header Fields Too Large", 503: "Service Unavailable",
    ]
}
