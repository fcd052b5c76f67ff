import HTTPTypes

/// Strong entity tags: the version in quotes (RFC 9110 section 8.8.3).
enum EntityTag {
    static func text(_ version: Int) -> String { "\"\(version)\"" }

    /// The version that `If-Match` insists on; nil if there is no such header or it is `*`.
    ///
    /// - Throws: `ProblemResponse` 400 for anything but one strong tag of ours: a command carries one version.
    static func expectedVersion(_ headers: HTTPFields) throws(ProblemResponse) -> Int? {
        guard let header = headers[.ifMatch] else { return nil }
        let tag = header[...].trimming(\.isWhitespace)
        if tag == "*" { return nil }
        guard let version = version(of: tag) else {
            throw .malformed("If-Match", "must be the ETag of the thing as it was read, such as \"3\" with its quotes")
        }
        return version
    }

    /// The version that `If-Match` insists on; nil if it is `*`.
    ///
    /// - Throws: `ProblemResponse` 428 if there is no such header, 400 as `expectedVersion`.
    static func requiredVersion(_ headers: HTTPFields) throws(ProblemResponse) -> Int? {
        guard headers[.ifMatch] != nil else {
            throw ProblemResponse(.preconditionRequired, "There is no If-Match header.")
        }
        return try expectedVersion(headers)
    }

    /// Whether `If-None-Match` names this version, so that the caller has it already. Comparison is weak, as it must be.
    static func isKnown(_ version: Int, to headers: HTTPFields) -> Bool {
        guard let header = headers[.ifNoneMatch] else { return false }
        return header.split(separator: ",").contains { tag in
            let tag = tag.trimming(\.isWhitespace)
            if tag == "*" { return true }
            return Self.version(of: tag.hasPrefix("W/") ? tag.dropFirst(2) : tag) == version
        }
    }

    private static func version(of tag: Substring) -> Int? {
        guard tag.utf8.count >= 3, tag.hasPrefix("\""), tag.hasSuffix("\"") else { return nil }
        let digits = tag.dropFirst().dropLast()
        guard digits.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int(digits)
    }
}
