import HTTPTypes

/// The caller's name for one thing that it wants done, so that a repeated request does it once.
enum IdempotencyKey {
    /// - Throws: `ProblemResponse` 400 if the header is missing or not 1 to 255 visible ASCII characters.
    static func read(_ headers: HTTPFields) throws(ProblemResponse) -> String {
        let values = headers[values: .idempotencyKey]
        guard let value = values.first else {
            throw ProblemResponse(.idempotencyKeyMissing, "There is no Idempotency-Key header.")
        }
        // Joined fields would make one key of two, of which the caller knows nothing.
        guard values.count == 1 else { throw .malformed("Idempotency-Key", "must be sent once") }
        guard (1...255).contains(value.utf8.count), value.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw .malformed("Idempotency-Key", "must have 1 to 255 visible ASCII characters")
        }
        return value
    }
}

/// `Prefer: wait=N` (RFC 7240 section 4.3).
enum WaitPreference {
    /// How long the caller would wait for the outcome; nil if it did not say, or not in whole seconds. A preference that
    /// does not parse is ignored, as the standard wants.
    static func read(_ headers: HTTPFields, atMost limit: Duration) -> Duration? {
        guard let header = headers[.prefer] else { return nil }
        for preference in header.split(separator: ",") {
            let pair = preference.split(separator: ";")[0].split(separator: "=", maxSplits: 1)
            guard pair.count == 2, pair[0].trimming(\.isWhitespace).lowercased() == "wait" else { continue }
            let text = pair[1].trimming { $0.isWhitespace || $0 == "\"" }
            guard text.utf8.allSatisfy({ (48...57).contains($0) }), let seconds = Int64(text), seconds > 0 else {
                return nil
            }
            return min(.seconds(min(seconds, 86_400)), limit)
        }
        return nil
    }
}

extension Substring {
    func trimming(_ isDropped: (Character) -> Bool) -> Substring {
        var rest = drop(while: isDropped)
        while let last = rest.last, isDropped(last) { rest.removeLast() }
        return rest
    }
}
