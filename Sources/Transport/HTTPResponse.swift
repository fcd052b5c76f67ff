/// A complete HTTP answer; a status of 400 and above is an answer too, not an error.
package struct HTTPResponse: Sendable, Equatable {
    /// The protocol the answer came in.
    package enum Version: String, Sendable {
        case http10 = "1.0"
        case http11 = "1.1"
        case http2 = "2"
        case other = "?"
    }

    /// The status code, 100 to 599.
    package let status: Int
    /// The fields of the final answer, without those of redirects, of 1xx answers or of trailers.
    package let headers: HTTPHeaders
    /// The body after decompression.
    package let body: [UInt8]
    /// The protocol version that was agreed.
    package let httpVersion: Version

    /// Makes an answer, for fakes.
    package init(status: Int, headers: HTTPHeaders = [:], body: [UInt8] = [], httpVersion: Version = .http11) {
        self.status = status
        self.headers = headers
        self.body = body
        self.httpVersion = httpVersion
    }
}
