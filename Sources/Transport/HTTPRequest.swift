/// One HTTP request and its limits.
package struct HTTPRequest: Sendable {
    /// A user name and password, sent as HTTP Basic authentication to the first host only.
    package struct BasicAuth: Sendable, CustomStringConvertible {
        /// The user name.
        package let user: String
        /// The password; never part of a description.
        package let password: String

        /// Makes credentials.
        package init(user: String, password: String) {
            self.user = user
            self.password = password
        }

        package var description: String { "BasicAuth(user: \(user))" }
    }

    /// The method, upper case by custom; any token is allowed.
    package var method: String
    /// An absolute `http://` or `https://` address.
    package var url: String
    /// Fields to send; a field with CR, LF or NUL in it fails the request as `invalidRequest`.
    package var headers: HTTPHeaders
    /// The body; nil sends none.
    package var body: [UInt8]?
    /// The limit for everything from queueing for a connection to the last body byte.
    package var timeout: Duration
    /// The limit for name lookup, connection and TLS handshake.
    package var connectTimeout: Duration
    /// The largest body accepted, counted after decompression; the transfer is cut as soon as it is passed.
    package var maxResponseBytes: Int
    /// Whether 3xx answers with a `Location` are followed, at most five times, never from https to http.
    package var followsRedirects: Bool
    /// HTTP Basic credentials, if any.
    package var basicAuth: BasicAuth?
    /// A PEM file of certificate authorities to trust instead of the system's.
    package var caFile: String?

    /// Makes a request; the defaults are 30 s in all, 5 s to connect, 8 MiB of body, no redirects.
    package init(
        method: String = "GET", url: String, headers: HTTPHeaders = [:], body: [UInt8]? = nil,
        timeout: Duration = .seconds(30), connectTimeout: Duration = .seconds(5),
        maxResponseBytes: Int = 8 << 20, followsRedirects: Bool = false, basicAuth: BasicAuth? = nil,
        caFile: String? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.connectTimeout = connectTimeout
        self.maxResponseBytes = maxResponseBytes
        self.followsRedirects = followsRedirects
        self.basicAuth = basicAuth
        self.caFile = caFile
    }
}
