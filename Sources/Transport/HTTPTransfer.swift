import CCurl

/// One HTTP request inside libcurl.
final class HTTPTransfer: Transfer {
    private let request: HTTPRequest
    private var headers = HTTPHeaders()
    private var headerBytes = 0
    private var isHeaderComplete = false
    private var body: [UInt8] = []
    private var isTooLarge = false
    private var timesSent = 0
    private weak var easy: EasyHandle?

    /// A header past this is not an answer but an attack.
    private static let maxHeaderBytes = 256 << 10
    private static let maxRedirects = 5

    init(_ request: HTTPRequest) {
        self.request = request
    }

    func configure(_ easy: EasyHandle) throws(EasyHandle.OptionError) {
        self.easy = easy
        let isSecure = request.url.prefix(8).lowercased() == "https://"
        try easy.set(CURLOPT_URL, request.url)
        try easy.set(CURLOPT_PROTOCOLS_STR, "http,https")
        try easy.set(CURLOPT_REDIR_PROTOCOLS_STR, isSecure ? "https" : "http,https")
        try easy.set(CURLOPT_FOLLOWLOCATION, request.followsRedirects)
        try easy.set(CURLOPT_MAXREDIRS, Self.maxRedirects)
        try easy.set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS)
        // Waits to see whether a connection in the making speaks HTTP/2 rather than opening another beside it.
        try easy.set(CURLOPT_PIPEWAIT, isSecure)
        try easy.set(CURLOPT_TIMEOUT_MS, milliseconds: request.timeout)
        try easy.set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds: request.connectTimeout)
        try easy.set(CURLOPT_MAXAGE_CONN, 60)
        try easy.set(CURLOPT_ACCEPT_ENCODING, "gzip, deflate")
        if let caFile = request.caFile { try easy.set(CURLOPT_CAINFO, caFile) }
        if let auth = request.basicAuth {
            try easy.set(CURLOPT_HTTPAUTH, 1)  // CURLAUTH_BASIC, a macro that Swift does not import
            try easy.set(CURLOPT_USERNAME, auth.user)
            try easy.set(CURLOPT_PASSWORD, auth.password)
        }
        try configureMethod(easy)
        try easy.set(CURLOPT_HTTPHEADER, list: headerLines)
        try configureCallbacks(easy)
    }

    private func configureMethod(_ easy: EasyHandle) throws(EasyHandle.OptionError) {
        let method = request.method
        let hasBody = request.body != nil || ["POST", "PUT", "PATCH"].contains(method)
        if method == "HEAD" {
            try easy.set(CURLOPT_NOBODY, true)
        } else if hasBody {
            let body = request.body ?? []
            try easy.set(CURLOPT_POST, true)
            try easy.set(CURLOPT_POSTFIELDSIZE_LARGE, large: body.count)
            let code = body.withUnsafeBytes { bytes in
                // An empty array has no address, but the library needs one to read no byte from.
                ccurl_set_pointer(easy.raw, CURLOPT_COPYPOSTFIELDS, bytes.baseAddress ?? UnsafeRawPointer(easy.raw))
            }
            try easy.check(code)
            if method != "POST" { try easy.set(CURLOPT_CUSTOMREQUEST, method) }
        } else {
            try easy.set(CURLOPT_HTTPGET, true)
            if method != "GET" { try easy.set(CURLOPT_CUSTOMREQUEST, method) }
        }
    }

    private var headerLines: [String] {
        // A header without a value must end in a semicolon, and one to leave out in a colon.
        var lines = request.headers.fields.map { $0.value.isEmpty ? "\($0.name);" : "\($0.name): \($0.value)" }
        if request.headers["Expect"] == nil { lines.append("Expect:") }
        if request.headers["Content-Type"] == nil { lines.append("Content-Type:") }
        return lines
    }

    private func configureCallbacks(_ easy: EasyHandle) throws(EasyHandle.OptionError) {
        // Unretained: the loop keeps this object until the handle is out of libcurl.
        let context = Unmanaged.passUnretained(self).toOpaque()
        try easy.check(
            ccurl_set_write_function(
                easy.raw,
                { bytes, size, count, context in
                    guard let bytes, let context else { return 0 }
                    let chunk = UnsafeRawBufferPointer(start: bytes, count: size * count)
                    let transfer = Unmanaged<HTTPTransfer>.fromOpaque(context).takeUnretainedValue()
                    return transfer.receive(chunk) ? chunk.count : 0
                }, context))
        try easy.check(
            ccurl_set_header_function(
                easy.raw,
                { bytes, size, count, context in
                    guard let bytes, let context else { return 0 }
                    let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
                    let transfer = Unmanaged<HTTPTransfer>.fromOpaque(context).takeUnretainedValue()
                    return transfer.receiveHeader(line) ? line.count : 0
                }, context))
        try easy.check(
            ccurl_set_request_function(
                easy.raw,
                { context, _, _, _, _ in
                    guard let context else { return CURL_PREREQFUNC_ABORT }
                    let transfer = Unmanaged<HTTPTransfer>.fromOpaque(context).takeUnretainedValue()
                    return transfer.mayBeSentNow() ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
                }, context))
    }

    /// Called when a connection is up, before each time the request is written.
    ///
    /// libcurl repeats a request on a new connection when a kept one died before any answer, a POST too; the server may
    /// have acted on the first. Only a method that may be repeated is.
    private func mayBeSentNow() -> Bool {
        let redirects = easy?.long(CURLINFO_REDIRECT_COUNT) ?? 0
        if timesSent > redirects, !request.isIdempotent { return false }
        timesSent += 1
        return true
    }

    private func receive(_ chunk: UnsafeRawBufferPointer) -> Bool {
        guard body.count + chunk.count <= request.maxResponseBytes else {
            isTooLarge = true
            return false
        }
        body.append(contentsOf: chunk)
        return true
    }

    private func receiveHeader(_ line: UnsafeRawBufferPointer) -> Bool {
        headerBytes += line.count
        guard headerBytes <= Self.maxHeaderBytes else {
            isTooLarge = true
            return false
        }
        let text = String(decoding: line, as: UTF8.self)
        if text.hasPrefix("HTTP/") {
            // The answer after a 1xx or a redirect starts over.
            headers.removeAll()
            body.removeAll()
            isHeaderComplete = false
        } else if !isHeaderComplete {
            let line = text.utf8.prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }
            if line.isEmpty {
                isHeaderComplete = true
            } else if let colon = line.firstIndex(of: UInt8(ascii: ":")) {
                let isSpace = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
                var value = line[line.index(after: colon)...].drop(while: isSpace)
                while let last = value.last, isSpace(last) { value.removeLast() }
                headers.append(name: String(Substring(line[..<colon])), value: String(Substring(value)))
            }
        }
        return true
    }

    func finish(_ easy: EasyHandle, _ end: TransferEnd) -> Result<HTTPResponse, TransportError> {
        switch end {
        case .finished(CURLE_OK):
            // Without a length, libcurl takes a connection lost inside the header for the end of an answer.
            guard isHeaderComplete else { return .failure(failure(.protocol, "the answer ended within its header")) }
            let version: HTTPResponse.Version =
                switch easy.long(CURLINFO_HTTP_VERSION) {
                case CURL_HTTP_VERSION_1_0: .http10
                case CURL_HTTP_VERSION_1_1: .http11
                case CURL_HTTP_VERSION_2_0: .http2
                default: .other
                }
            return .success(
                HTTPResponse(
                    status: easy.long(CURLINFO_RESPONSE_CODE), headers: headers, body: body, httpVersion: version))
        case .finished(let code):
            return .failure(error(code, easy))
        case .refused(let code):
            return .failure(TransportError(code: .invalidRequest, message: Curl.text(code)))
        case .cancelled:
            return .failure(failure(.cancelled, "the task was cancelled"))
        case .closed:
            return .failure(failure(.closed, "the client was closed"))
        }
    }

    private func failure(_ code: TransportError.Code, _ message: String) -> TransportError {
        TransportError(code: code, message: message, mayHaveBeenSent: timesSent > 0)
    }

    /// The library's own sentence is kept where it is about the connection; elsewhere it may quote what the server sent.
    private func error(_ code: CURLcode, _ easy: EasyHandle) -> TransportError {
        if isTooLarge { return failure(.tooLarge, "the answer is larger than allowed") }
        let text = Curl.text(code)
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY:
            return failure(.resolve, easy.explanation(of: code))
        case CURLE_COULDNT_CONNECT:
            return failure(.connect, easy.explanation(of: code))
        case CURLE_OPERATION_TIMEDOUT:
            return failure(.timeout, timesSent > 0 ? "no complete answer in time" : "no connection in time")
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_USE_SSL_FAILED, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CRL_BADFILE, CURLE_SSL_ISSUER_ERROR,
            CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_ENGINE_INITFAILED:
            return failure(.tls, easy.explanation(of: code))
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL:
            // Once something was sent, it is the answer: not HTTP, or a redirect to another protocol.
            return failure(timesSent == 0 ? .invalidRequest : .protocol, text)
        case CURLE_ABORTED_BY_CALLBACK:
            return failure(
                .protocol, "the connection was lost before an answer; not repeated, as the method has effects")
        default:
            return failure(.protocol, text)
        }
    }
}

extension HTTPRequest {
    /// Methods that a server must treat the same once or twice (RFC 9110 section 9.2.2).
    var isIdempotent: Bool {
        ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"].contains(method)
    }

    /// Why the request must not be sent, if it must not.
    var problem: String? {
        guard Self.isToken(method) else { return "the method is not a token" }
        let scheme = url.prefix(8).lowercased()
        guard scheme.hasPrefix("http://") || scheme == "https://" else {
            return "the URL must start with http:// or https://"
        }
        guard url.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else {
            return "the URL holds a space or a control character"
        }
        for field in headers.fields {
            guard Self.isToken(field.name) else { return "a header name is not a token" }
            guard field.value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else {
                return "the header \(field.name) holds a control character"
            }
        }
        guard maxResponseBytes >= 0, timeout > .zero, connectTimeout > .zero else { return "a limit is not positive" }
        return nil
    }

    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                Mailbox.isAtomText(byte) && !"/=?{}".utf8.contains(byte)
            }
    }
}
