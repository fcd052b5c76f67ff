import HTTPTypes

/// Refuses what another site has a browser send.
///
/// A browser adds the session's cookie to a request whoever caused it, so a request with a cookie that changes something must
/// also come from our own pages, by what the browser says (`Sec-Fetch-Site`, or `Origin` where a browser does not know that
/// header), and carry a token that only our own pages can have read. `SameSite=Lax` is a third barrier. Requests with an API
/// key need none of this: no browser adds one by itself.
enum CrossSite {
    /// Methods that only read; they need no proof of where they come from, because others cannot read the answer.
    static func isSafe(_ method: HTTPRequest.Method) -> Bool { method == .get || method == .head }

    /// Why the request may come from another site; nil if the browser says that it does not, or says nothing.
    static func fault(_ request: IngressRequest) -> String? {
        if let site = request.headers[.secFetchSite] {
            return site == "same-origin"
                ? nil : "The browser says that the request comes from elsewhere (\(label(site)))."
        }
        guard let origin = request.headers[.origin] else { return nil }
        guard let mark = origin.firstRange(of: "://"), let authority = request.authority,
            origin[mark.upperBound...].lowercased() == authority.lowercased()
        else { return "The Origin header names another site." }
        return nil
    }

    /// Why a request that was sent with a session's cookie is refused; nil if it is not.
    ///
    /// - Parameter token: what `X-CSRF-Token` has to be.
    static func fault(_ request: IngressRequest, token: String) -> String? {
        if let fault = fault(request) { return fault }
        guard let given = request.headers[.csrfToken] else {
            return "The header X-CSRF-Token is missing; `GET /v1/me` tells the session's token."
        }
        return isEqual(given, token)
            ? nil : "The header X-CSRF-Token is not this session's; `GET /v1/me` tells the right one."
    }

    /// Takes equally long wherever the texts differ.
    private static func isEqual(_ left: String, _ right: String) -> Bool {
        guard left.utf8.count == right.utf8.count else { return false }
        var difference: UInt8 = 0
        for (one, other) in zip(left.utf8, right.utf8) { difference |= one ^ other }
        return difference == 0
    }

    /// A word of the header that may be repeated in an answer.
    private static func label(_ site: String) -> String {
        ["cross-site", "same-site", "none"].first { $0 == site } ?? "unknown"
    }
}
