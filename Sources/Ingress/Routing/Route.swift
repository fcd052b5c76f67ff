import HTTPTypes

/// One entry of the route table.
struct Route: Sendable {
    enum Handler: Sendable {
        /// Needs no key: webhooks, which are signed, and what is public.
        case open(@Sendable (IngressRequest) async throws -> IngressResponse)
        /// Needs an API key whose role has the permission.
        case authorized(Permission, @Sendable (IngressRequest, Principal) async throws -> IngressResponse)
    }

    var method: HTTPRequest.Method
    /// The path, with at most one `{parameter}`; the route's name in metrics and in the OpenAPI document.
    var template: String
    var maxBodyBytes: Int
    /// Whether the OpenAPI document describes it.
    var isDocumented: Bool
    var handler: Handler

    init(
        _ method: HTTPRequest.Method, _ template: String, maxBodyBytes: Int, isDocumented: Bool = true,
        handler: Handler
    ) {
        self.method = method
        self.template = template
        self.maxBodyBytes = maxBodyBytes
        self.isDocumented = isDocumented
        self.handler = handler
    }
}

/// Finds the route of a request.
struct RouteTable: Sendable {
    enum Match: Sendable {
        case found(index: Int, parameter: Substring)
        /// The path exists, with these methods.
        case wrongMethod(allowed: [HTTPRequest.Method])
        case unknown
    }

    /// The segments of a template; nil stands for the parameter.
    private struct Pattern: Sendable {
        let segments: [String?]
        var routes: [(method: HTTPRequest.Method, index: Int)]

        func parameter(in path: [Substring]) -> Substring? {
            guard path.count == segments.count else { return nil }
            var found: Substring?
            for (segment, piece) in zip(segments, path) {
                if let segment {
                    guard piece == segment else { return nil }
                } else {
                    guard !piece.isEmpty else { return nil }
                    found = piece
                }
            }
            return found
        }
    }

    let routes: [Route]
    private var fixed: [String: [(method: HTTPRequest.Method, index: Int)]] = [:]
    private var patterns: [Pattern] = []

    init(_ routes: [Route]) {
        self.routes = routes
        for (index, route) in routes.enumerated() {
            let entry = (method: route.method, index: index)
            guard route.template.contains("{") else {
                fixed[route.template, default: []].append(entry)
                continue
            }
            let segments = route.template.split(separator: "/", omittingEmptySubsequences: false).map {
                $0.hasPrefix("{") ? nil : String($0)
            }
            if let known = patterns.firstIndex(where: { $0.segments == segments }) {
                patterns[known].routes.append(entry)
            } else {
                patterns.append(Pattern(segments: segments, routes: [entry]))
            }
        }
    }

    /// - Parameter path: as it was sent. Nothing is decoded or normalised: our paths need neither, and two spellings of
    ///   one path are how checks are walked around.
    func match(_ method: HTTPRequest.Method, _ path: Substring) -> Match {
        if let entries = fixed[String(path)] { return choose(method, entries, parameter: "") }
        let pieces = path.split(separator: "/", maxSplits: 8, omittingEmptySubsequences: false)
        for pattern in patterns {
            if let parameter = pattern.parameter(in: pieces) {
                return choose(method, pattern.routes, parameter: parameter)
            }
        }
        return .unknown
    }

    private func choose(
        _ method: HTTPRequest.Method, _ entries: [(method: HTTPRequest.Method, index: Int)], parameter: Substring
    ) -> Match {
        // HEAD is GET without the body.
        let wanted = method == .head ? .get : method
        if let entry = entries.first(where: { $0.method == wanted }) {
            return .found(index: entry.index, parameter: parameter)
        }
        let methods = entries.flatMap { $0.method == .get ? [.get, .head] : [$0.method] }
        return .wrongMethod(allowed: methods)
    }
}
