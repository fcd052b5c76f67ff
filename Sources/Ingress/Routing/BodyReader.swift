import HTTPTypes
import HummingbirdCore
import NIOCore

/// Reads a request's body into one array, and no further than its limit.
struct BodyReader {
    private(set) var bytes: [UInt8] = []
    private let limit: Int
    private var parts: RequestBody.AsyncIterator
    private var isAtEnd = false

    init(_ body: RequestBody, limit: Int) {
        self.limit = limit
        parts = body.makeAsyncIterator()
    }

    /// Whether the announced length, if any, is within the limit.
    func mayRead(_ headers: HTTPFields) -> Bool {
        guard let text = headers[.contentLength] else { return true }
        return Int(text).map { $0 <= limit } ?? false
    }

    /// - Returns: false if the body is larger than the limit, as announced or, in chunks, as it turns out.
    /// - Throws: what the connection throws, above all if it ends before the body does.
    mutating func read(_ headers: HTTPFields) async throws -> Bool {
        guard mayRead(headers) else { return false }
        // Not the whole announced length: announcing costs nothing.
        bytes.reserveCapacity(min(headers[.contentLength].flatMap { Int($0) } ?? 0, 64 << 10))
        while let part = try await parts.next() {
            guard bytes.count + part.readableBytes <= limit else {
                bytes = []
                return false
            }
            bytes.append(contentsOf: part.readableBytesView)
        }
        isAtEnd = true
        return true
    }

    /// Throws away what still comes, up to the body's end or a number of bytes.
    mutating func discard(upTo limit: Int) async throws {
        var rest = limit
        while !isAtEnd, rest > 0 {
            guard let part = try await parts.next() else {
                isAtEnd = true
                return
            }
            rest -= part.readableBytes
        }
    }
}
